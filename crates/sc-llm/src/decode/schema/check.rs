//! What a JSON schema may say. It may be anybody's: this runs before it is compiled, names places, and refuses what would
//! take memory or time out of all proportion.

mod size;

use std::collections::BTreeSet;

use serde_json::Value;

use super::Error;

/// Levels of all places that are referred to, added up: more than the compiler can be deep in.
const MAX_LEVELS: usize = 1 << 12;

/// Parts of what a schema comes to when its combinations are written out.
const MAX_PARTS: u64 = 200_000;

/// Keywords with a schema, with schemas by name, and with a list of schemas.
const ONE: [&str; 2] = ["additionalProperties", "additionalItems"];
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
const LISTED: [&str; 4] = ["prefixItems", "allOf", "anyOf", "oneOf"];

/// Keywords whose values the compiler checks.
const PLAIN: [&str; 16] = [
    "type",
    "enum",
    "const",
    "required",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
];

/// Keywords that say nothing about the text.
const ANNOTATIONS: [&str; 14] = [
    "$schema",
    "$id",
    "id",
    "$anchor",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentMediaType",
    "contentEncoding",
];

/// Refuses a schema that cannot be enforced whole, or that is too much.
pub(super) fn schema(schema: &Value) -> Result<(), Error> {
    let mut walk = Walk { root: schema, at: Vec::new(), seen: BTreeSet::new(), open: Vec::new(), levels: 0 };
    walk.visit(schema)?;
    let mut references = Vec::new();
    while let Some((reference, target)) = walk.open.pop() {
        walk.at = reference[1..].split('/').skip(1).map(str::to_owned).collect();
        walk.visit(target)?;
        references.push((reference, target));
    }
    match size::parts(schema, &references) {
        parts if parts > MAX_PARTS => Err(Error::Combinations { limit: MAX_PARTS }),
        _ => Ok(()),
    }
}

/// As [`schema`], for those inside a grammar.
pub(super) fn schemas_inside(grammar: &str) -> Result<(), Error> {
    for (place, mark) in grammar.match_indices("%json") {
        let mut values =
            serde_json::Deserializer::from_str(&grammar[place + mark.len()..]).into_iter::<Value>();
        // What is no JSON is no schema, or one that the parser of the grammar will refuse with its place.
        if let Some(Ok(value)) = values.next() {
            schema(&value)?;
        }
    }
    Ok(())
}

/// A walk over the schemas of a schema.
struct Walk<'v> {
    root: &'v Value,
    /// The way from the root.
    at: Vec<String>,
    seen: BTreeSet<&'v str>,
    /// References whose targets are still to be walked.
    open: Vec<(&'v str, &'v Value)>,
    levels: usize,
}

impl<'v> Walk<'v> {
    fn visit(&mut self, schema: &'v Value) -> Result<(), Error> {
        let keywords = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(keywords) => keywords,
            other => return Err(self.invalid(None, other, "a schema: an object, `true` or `false`")),
        };
        for (keyword, value) in keywords {
            match keyword.as_str() {
                "$ref" => self.refer(value)?,
                "items" if value.is_array() => self.list(keyword, value)?,
                "items" => self.enter(keyword, value)?,
                "multipleOf" => self.positive(keyword, value)?,
                name if ONE.contains(&name) => self.enter(keyword, value)?,
                name if LISTED.contains(&name) => self.list(keyword, value)?,
                name if NAMED.contains(&name) => {
                    let Value::Object(schemas) = value else {
                        return Err(self.invalid(Some(keyword), value, "an object of schemas"));
                    };
                    self.at.push(keyword.clone());
                    for (name, schema) in schemas {
                        self.enter(name, schema)?;
                    }
                    self.at.pop();
                }
                name if PLAIN.contains(&name) || ANNOTATIONS.contains(&name) => {}
                _ => return Err(Error::Keyword { at: self.pointer(None), keyword: keyword.clone() }),
            }
        }
        Ok(())
    }

    fn enter(&mut self, step: &str, schema: &'v Value) -> Result<(), Error> {
        self.at.push(step.to_owned());
        self.visit(schema)?;
        self.at.pop();
        Ok(())
    }

    fn list(&mut self, keyword: &str, value: &'v Value) -> Result<(), Error> {
        let Some(schemas) = value.as_array().filter(|schemas| !schemas.is_empty()) else {
            return Err(self.invalid(Some(keyword), value, "a list of schemas"));
        };
        self.at.push(keyword.to_owned());
        for (place, schema) in schemas.iter().enumerate() {
            self.enter(&place.to_string(), schema)?;
        }
        self.at.pop();
        Ok(())
    }

    /// A divisor: the compiler takes it for one of whole numbers of a decimal unit.
    fn positive(&self, keyword: &str, value: &Value) -> Result<(), Error> {
        match value.as_f64() {
            Some(number) if (1e-9..=1e9).contains(&number) => Ok(()),
            _ => Err(self.invalid(Some(keyword), value, "a number from 1e-9 to 1e9")),
        }
    }

    fn refer(&mut self, value: &'v Value) -> Result<(), Error> {
        let Some(reference) = value.as_str() else {
            return Err(self.invalid(Some("$ref"), value, "a text"));
        };
        let Some(target) = find(self.root, reference) else {
            return Err(Error::Reference { at: self.pointer(None), reference: shortened(reference) });
        };
        if self.seen.insert(reference) {
            self.levels += levels(target);
            if self.levels > MAX_LEVELS {
                return Err(Error::Levels { found: self.levels, limit: MAX_LEVELS });
            }
            self.open.push((reference, target));
        }
        Ok(())
    }

    fn invalid(&self, keyword: Option<&str>, found: &Value, expected: &'static str) -> Error {
        Error::Invalid { at: self.pointer(keyword), found: shortened(&found.to_string()), expected }
    }

    /// The place, as a JSON pointer.
    fn pointer(&self, keyword: Option<&str>) -> String {
        let steps = self.at.iter().map(String::as_str).chain(keyword);
        let escaped = steps.map(|step| shortened(step).replace('~', "~0").replace('/', "~1"));
        escaped.fold("#".to_owned(), |pointer, step| pointer + "/" + &step)
    }
}

/// The place that a reference names, as the compiler finds it: without escapes.
fn find<'v>(root: &'v Value, reference: &str) -> Option<&'v Value> {
    if reference == "#" {
        return Some(root);
    }
    let mut place = root;
    for step in reference.strip_prefix("#/")?.split('/') {
        place = match place {
            Value::Array(list) => list.get(step.parse::<usize>().ok()?)?,
            other => other.get(step)?,
        };
    }
    Some(place)
}

fn levels(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(levels).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(levels).max().unwrap_or(0),
        _ => 1,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
