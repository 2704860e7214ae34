//! As much of a JSON reader as an answer needs: all of the grammar is checked, and the strings under one key are kept.

/// Values may lie in each other this deep.
const MAX_DEPTH: usize = 64;

/// The values under `key` in the object that `text` is, in order: a string, or `None` for any other value. `None` if
/// `text` is not one JSON object (RFC 8259), with white space around it at most.
pub(crate) fn strings_at(text: &str, key: &str) -> Option<Vec<Option<String>>> {
    let mut reader = Reader { rest: text };
    let mut found = Vec::new();
    reader.space();
    reader.object(MAX_DEPTH, &mut |name, value| {
        if name == key {
            found.push(value);
        }
    })?;
    reader.space();
    reader.rest.is_empty().then_some(found)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Steps over `token` if it comes next.
    fn eat(&mut self, token: &str) -> bool {
        let behind = self.rest.strip_prefix(token);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// A value: its text if it is a string, else `None` inside.
    fn value(&mut self, depth: usize) -> Option<Option<String>> {
        match self.rest.as_bytes().first()? {
            b'"' => return self.string().map(Some),
            b'{' => self.object(depth, &mut |_, _| {})?,
            b'[' => self.array(depth)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => ["true", "false", "null"].iter().any(|word| self.eat(word)).then_some(())?,
        }
        Some(None)
    }

    fn object(&mut self, depth: usize, member: &mut dyn FnMut(String, Option<String>)) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.eat("{").then_some(())?;
        self.space();
        if self.eat("}") {
            return Some(());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.eat(":").then_some(())?;
            self.space();
            member(name, self.value(depth)?);
            self.space();
            if self.eat("}") {
                return Some(());
            }
            self.eat(",").then_some(())?;
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.eat("[").then_some(())?;
        self.space();
        if self.eat("]") {
            return Some(());
        }
        loop {
            self.space();
            self.value(depth)?;
            self.space();
            if self.eat("]") {
                return Some(());
            }
            self.eat(",").then_some(())?;
        }
    }

    fn number(&mut self) -> Option<()> {
        self.eat("-");
        if !self.eat("0") {
            self.digits()?;
        }
        if self.eat(".") {
            self.digits()?;
        }
        if self.eat("e") || self.eat("E") {
            let _sign = self.eat("+") || self.eat("-");
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let behind = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_some = behind.len() < self.rest.len();
        self.rest = behind;
        is_some.then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.eat("\"").then_some(())?;
        let mut text = String::new();
        loop {
            let plain = self.rest.find(|c: char| c == '"' || c == '\\' || c < ' ')?;
            text.push_str(&self.rest[..plain]);
            self.rest = &self.rest[plain..];
            if self.eat("\"") {
                return Some(text);
            }
            self.eat("\\").then_some(())?;
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let escape = chars.next()?;
        self.rest = chars.as_str();
        Some(match escape {
            '"' | '\\' | '/' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.hex()?;
                if !(0xD800..0xDC00).contains(&unit) {
                    return char::from_u32(unit);
                }
                // The first half of a character beyond 16 bits; the second must follow.
                self.eat("\\u").then_some(())?;
                let low = self.hex()?.checked_sub(0xDC00).filter(|&low| low < 0x400)?;
                return char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + low);
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let (digits, behind) = self.rest.split_at_checked(4)?;
        self.rest = behind;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_k(text: &str) -> Option<Vec<Option<String>>> {
        strings_at(text, "k")
    }

    #[test]
    fn strings_of_the_outer_object_are_found_among_values_of_all_kinds() {
        let text = r#" {"a": [1, -0.5e+3, {"k": "inner"}, [], {}], "k": "x", "b": null, "k": true, "c": 0} "#;
        assert_eq!(at_k(text), Some(vec![Some("x".to_owned()), None]));
        assert_eq!(at_k("{}"), Some(vec![]));
    }

    #[test]
    fn escapes_are_undone_in_keys_and_values() {
        let text = r#"{"\u006b": "\"\\\/\b\f\n\r\t\u03b3δ \uD83E\uDDEC"}"#;
        assert_eq!(at_k(text), Some(vec![Some("\"\\/\u{8}\u{c}\n\r\tγδ 🧬".to_owned())]));
    }

    #[test]
    fn all_that_the_grammar_does_not_allow_is_refused() {
        let bad = [
            "",
            "{",
            "}",
            "{}}",
            "{} x",
            "[]",
            "\"k\"",
            "{k: 1}",
            "{'k': 1}",
            r#"{"k"}"#,
            r#"{"k": }"#,
            r#"{"k": 1,}"#,
            r#"{"k": 01}"#,
            r#"{"k": 1.}"#,
            r#"{"k": .5}"#,
            r#"{"k": +1}"#,
            r#"{"k": 1e}"#,
            r#"{"k": NaN}"#,
            r#"{"k": [1,]}"#,
            r#"{"k": [1 2]}"#,
            r#"{"k": True}"#,
            r#"{"k": "x}"#,
            r#"{"k": "\x"}"#,
            r#"{"k": "\u12"}"#,
            r#"{"k": "\u+123"}"#,
            r#"{"k": "\uD83E"}"#,
            r#"{"k": "\uD83Ex"}"#,
            r#"{"k": "\uD83E\u0041"}"#,
            r#"{"k": "\uD83E\uE041"}"#,
            r#"{"k": "\uDDEC"}"#,
            r#"{"k": "\u12é"}"#,
            "{\"k\": \"a\nb\"}",
            r#"{"k": 1} {"k": 2}"#,
            "\u{a0}{}",
        ];
        for text in bad {
            assert_eq!(at_k(text), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        let nested = |n: usize| format!(r#"{{"a": {}{}, "k": "x"}}"#, "[".repeat(n), "]".repeat(n));
        assert_eq!(at_k(&nested(MAX_DEPTH - 1)), Some(vec![Some("x".to_owned())]));
        assert_eq!(at_k(&nested(MAX_DEPTH)), None);
        assert_eq!(at_k(&"{\"a\":".repeat(1_000_000)), None);
        assert_eq!(at_k(&"[".repeat(1_000_000)), None);
    }
}
