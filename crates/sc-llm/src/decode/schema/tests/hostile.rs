//! What is refused.

use super::*;

fn compiler() -> Compiler {
    Compiler::new(&words()).unwrap()
}

/// The error and all that it comes from.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += ": ";
        text += &error.to_string();
        source = error.source();
    }
    text
}

#[test]
fn a_schema_that_cannot_be_enforced_is_refused_with_its_place() {
    let compiler = compiler();
    for (schema, expected) in [
        ("{\"type\": ", "the JSON schema is not valid JSON: EOF while parsing"),
        ("3", "# of the JSON schema is 3, expected a schema"),
        (
            r#"{"properties": {"a/b": {"maxlength": 3}}}"#,
            "#/properties/a~1b of the JSON schema has the keyword \"maxlength\"",
        ),
        (r#"{"items": {"not": {}}}"#, "#/items of the JSON schema has the keyword \"not\""),
        (r#"{"x-guidance": {"lenient": true}}"#, "# of the JSON schema has the keyword \"x-guidance\""),
        (r#"{"anyOf": []}"#, "#/anyOf of the JSON schema is [], expected a list of schemas"),
        (r#"{"properties": []}"#, "#/properties of the JSON schema is [], expected an object of schemas"),
        (r#"{"multipleOf": 0}"#, "#/multipleOf of the JSON schema is 0, expected a number"),
        (
            r##"{"items": {"$ref": "#/$defs/a"}}"##,
            "#/items of the JSON schema refers to \"#/$defs/a\", which is no place",
        ),
        (r#"{"$ref": "https://example.org/schema"}"#, "which is no place in it"),
        (
            r##"{"$ref": "#/$defs/a", "$defs": {"a": {"prefixItems": [{"$ref": 1}]}}}"##,
            "#/$defs/a/prefixItems/0/$ref of the JSON schema is 1",
        ),
        (r#"{"type": "cell"}"#, "the JSON schema cannot be used: Invalid type: cell"),
        (r#"{"format": "gene"}"#, "Unknown format: gene"),
        (r#"{"pattern": "("}"#, "the JSON schema cannot be used"),
        (r#"{"oneOf": [{"type": "string"}, {"maxLength": 3}]}"#, "oneOf"),
        ("false", "schema is false"),
        (r#"{"enum": ["a"], "type": "number"}"#, "Unsatisfiable"),
        (r#"{"type": "array", "minItems": 3, "maxItems": 2}"#, "minItems (3) is greater than maxItems (2)"),
        (r#"{"type": "integer", "minimum": 1.2, "maximum": 1.8}"#, "the JSON schema cannot be used"),
        (r#"{"type": "string", "minLength": 5, "maxLength": 2}"#, "the JSON schema cannot be used"),
        (r#"{"type": "string", "minLength": 1000000000000}"#, "the JSON schema cannot be used"),
        (r#"{"type": "array", "minItems": -1}"#, "the JSON schema cannot be used"),
    ] {
        let error = compiler.json_schema(schema).unwrap_err();
        assert!(chain(&error).contains(expected), "{schema}: {}", chain(&error));
    }
    for (schema, advice) in [
        (r#"{"not": {}}"#, "leave it out and check the finished text"),
        (r##"{"$ref": "#/x"}"##, "refer to places of the same schema"),
    ] {
        let error = crate::Error::from(compiler.json_schema(schema).unwrap_err());
        assert!(error.help().is_some_and(|help| help.contains(advice)), "{error}");
    }
}

#[test]
fn a_schema_that_leads_back_to_itself_is_a_tree_or_refused() {
    let tokenizer = words();
    let compiler = Compiler::new(&tokenizer).unwrap();
    let tree = r##"{"type": "object", "additionalProperties": false, "required": ["next"],
                    "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}"##;
    let grammar = compiler.json_schema(tree).unwrap();
    for Written { text, is_complete, .. } in texts(&tokenizer, &grammar, 20, 400) {
        assert_eq!(serde_json::from_str::<Value>(&text).is_ok(), is_complete, "{text}");
    }
    // Nothing finite is right: either is refused, or the text never ends, or the parser gives up on it.
    for schema in [
        r##"{"$ref": "#"}"##,
        r##"{"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}"##,
        r##"{"allOf": [{"$ref": "#"}, {"$ref": "#"}]}"##,
    ] {
        if let Ok(grammar) = compiler.json_schema(schema) {
            match grammar.generate(&[3], &random(200), 0, model(&tokenizer, 0)) {
                Ok(written) => assert!(!written.is_complete, "{schema}: {}", written.text),
                Err(error) => {
                    assert!(error.to_string().contains("the text cannot go on"), "{schema}: {error}")
                }
            }
        }
    }
}

#[test]
fn a_schema_too_deep_or_too_large_is_refused() {
    let compiler = compiler();
    let of = |schema: &str| chain(&compiler.json_schema(schema).unwrap_err());
    let deep = "{\"items\": ".repeat(10_000) + "true" + &"}".repeat(10_000);
    assert!(of(&deep).contains("recursion limit"), "{}", of(&deep));
    let many = format!("{{\"enum\": [\"{}\"]}}", "a\", \"".repeat(20_000_000));
    assert!(of(&many).contains("bytes, expected at most 1048576"));
    let error = compiler.json_schema(&many).unwrap_err();
    assert!(error.help().is_some_and(|help| help.contains("template or a trie")));

    // Each definition holds the next one.
    let chain_of = |n: usize, next: &dyn Fn(usize) -> String| {
        let defs: Vec<String> = (0..n).map(|i| format!("\"d{i}\": {}", next(i + 1))).collect();
        format!(
            "{{\"$defs\": {{{}, \"d{n}\": {{\"type\": \"null\"}}}}, \"$ref\": \"#/$defs/d0\"}}",
            defs.join(", ")
        )
    };
    let long = chain_of(3000, &|next| format!("{{\"items\": {{\"$ref\": \"#/$defs/d{next}\"}}}}"));
    assert!(of(&long).contains("levels together, expected at most 4096"), "{}", of(&long));
    let error = compiler.json_schema(&long).unwrap_err();
    assert!(error.help().is_some_and(|help| help.contains("as one schema")));
    // 2^40 copies.
    let double = chain_of(40, &|next| {
        let one = format!("{{\"type\": \"object\", \"$ref\": \"#/$defs/d{next}\"}}");
        format!("{{\"properties\": {{\"l\": {one}, \"r\": {one}}}}}")
    });
    assert!(of(&double).contains("come to more than 200000 parts"), "{}", of(&double));
    let pairs = format!("{{\"anyOf\": [{}]}}", vec!["{\"minimum\": 1}"; 400].join(", "));
    let product = format!("{{\"allOf\": [{pairs}, {pairs}, {pairs}]}}");
    assert!(of(&product).contains("come to more than"), "{}", of(&product));
    let inside = compiler.lark(&format!("start: %json {double}")).unwrap_err();
    assert!(chain(&inside).contains("come to more than"), "{}", chain(&inside));
    // A chain within the limit is compiled.
    let fair = chain_of(800, &|next| format!("{{\"items\": {{\"$ref\": \"#/$defs/d{next}\"}}}}"));
    compiler.json_schema(&fair).unwrap();
}

#[test]
fn a_schema_at_the_limits_is_compiled_or_refused_in_time() {
    let compiler = compiler();
    let properties: Vec<String> = (0..5000).map(|i| format!("\"p{i}\": {{\"type\": \"null\"}}")).collect();
    let wide = format!("{{\"type\": \"object\", \"properties\": {{{}}}}}", properties.join(", "));
    let labels = Value::from((0..20_000).map(|i| format!("label {i}")).collect::<Vec<_>>());
    for schema in [
        wide,
        json!({ "enum": labels }).to_string(),
        r#"{"type": "array", "minItems": 1000000000, "items": {"type": "null"}}"#.to_owned(),
        r#"{"type": "string", "pattern": "((a{500}){500}){500}"}"#.to_owned(),
        r#"{"type": "string", "maxLength": 1000000}"#.to_owned(),
        r#"{"type": "number", "multipleOf": 0.000001, "minimum": -1e300, "maximum": 1e300}"#.to_owned(),
        r#"{"type": "integer", "multipleOf": 999999937}"#.to_owned(),
    ] {
        let written = compiler.json_schema(&schema).map(|grammar| {
            let model = |_: &[u32]| Ok::<_, crate::Error>(vec![0.0; 3000]);
            let params = GenerateParams { max_new_tokens: 40, ..GenerateParams::default() };
            grammar.generate(&[3], &params, 0, model)
        });
        if let Ok(Ok(Written { text, is_complete: true, .. })) = written {
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
        }
    }
}

#[test]
fn regular_expressions_and_grammars_that_make_no_sense_are_refused() {
    let compiler = compiler();
    for regex in [
        "(",
        "a{2,1}",
        r"[^\s\S]",
        r"\bT\b",
        "(?=a)b",
        "(".repeat(20_000).as_str(),
        "a|".repeat(40_000).as_str(),
    ] {
        let error = compiler.regex(regex).unwrap_err();
        assert!(error.to_string().contains("regular expression"), "{error}");
    }
    let rules = |n: usize| -> String { (0..n).map(|i| format!("\na{i}: a{}", i + 1)).collect() };
    for (grammar, expected) in [
        ("", "the grammar cannot be used"),
        ("start: missing", "unknown name"),
        ("start: \"a\" )", "1(12)"),
        ("start: start", "the grammar cannot be used"),
        ("start: A\nA: A \"x\"", "circular reference in token"),
        ("start: <|endoftext|>", "unknown special token"),
        ("start: %json {\"not\": {}}", "has the keyword \"not\""),
        (format!("start: {}\"a\"{}", "(".repeat(5000), ")".repeat(5000)).as_str(), "too deeply nested"),
        (format!("start: a0{}", rules(400)).as_str(), "unknown name"),
        (format!("start: a0{}", rules(5000)).as_str(), "the grammar has 5001 rules, expected at most 500"),
        ("x".repeat(MAX_GRAMMAR_BYTES + 1).as_str(), "65537 bytes, expected at most 65536"),
    ] {
        let error = compiler.lark(grammar).unwrap_err();
        assert!(chain(&error).contains(expected), "{grammar:.60}: {}", chain(&error));
    }
}

#[test]
fn special_tokens_asked_for_by_number_never_come() {
    let compiler = compiler();
    let grammar = compiler.lark("start: \"a\" <[0]> \"b\"").unwrap();
    let model = |_: &[u32]| Ok::<_, crate::Error>(vec![0.0; 3000]);
    let error = grammar.generate(&[3], &GenerateParams::default(), 0, model).unwrap_err();
    assert!(error.to_string().contains("the text cannot go on behind 1 tokens"), "{error}");
    assert!(error.help().is_some_and(|help| help.contains("vocabulary lacks")));
}

#[test]
fn a_tokeniser_without_an_end_needs_one_from_the_parameters() {
    let json =
        br#"{"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "b"}}"#;
    let tokenizer = Tokenizer::from_json(json).unwrap();
    let grammar = Compiler::new(&tokenizer).unwrap().regex("a+").unwrap();
    let model = |_: &[u32]| Ok::<_, crate::Error>(vec![0.0, 1.0]);
    let error = grammar.generate(&[0], &GenerateParams::default(), 0, model).unwrap_err();
    assert!(error.help().is_some_and(|help| help.contains("GenerateParams::stop")), "{error}");
    let params = GenerateParams { stop: vec![1], ..GenerateParams::default() };
    assert_eq!(grammar.generate(&[0], &params, 0, model).unwrap().tokens, [0, 1]);
}
