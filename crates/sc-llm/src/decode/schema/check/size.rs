//! What a schema comes to when its combinations are written out.

use std::collections::HashMap;

use serde_json::Value;

/// An upper bound of the parts that the compiler makes: `allOf` and keywords side by side are multiplied out, alternative by
/// alternative, and what a `$ref` among them means is copied. A few parts can so become more than any memory holds.
pub(super) fn parts<'v>(schema: &'v Value, references: &[(&'v str, &'v Value)]) -> u64 {
    let targets = references.iter().copied().collect();
    let mut count = Count { targets, known: HashMap::new() };
    let whole = count.of(schema, false).size;
    references.iter().fold(whole, |sum, (_, target)| sum.saturating_add(count.of(target, false).size))
}

/// A schema, counted.
#[derive(Clone, Copy)]
struct Parts {
    alternatives: u64,
    size: u64,
    /// Properties and items that stand by themselves, and parts that hold for all others: each of the former may get a
    /// copy of the latter.
    named: u64,
    others: u64,
}

const ONE: Parts = Parts { alternatives: 1, size: 1, named: 0, others: 0 };

struct Count<'v> {
    targets: HashMap<&'v str, &'v Value>,
    /// What references mean where they are copied; one that leads back to itself is not copied there.
    known: HashMap<&'v str, Parts>,
}

impl<'v> Count<'v> {
    /// * `is_combined`: whether something further up is combined with it.
    fn of(&mut self, schema: &'v Value, is_combined: bool) -> Parts {
        let Some(keywords) = schema.as_object() else { return ONE };
        let lists =
            ["allOf", "anyOf", "oneOf", "enum"].map(|name| keywords.get(name).and_then(Value::as_array));
        let [all_of, any_of, one_of, values] = lists;
        let is_applied = |name: &str| ["allOf", "anyOf", "oneOf", "enum", "const", "$ref"].contains(&name);
        let means =
            |name: &str| !super::ANNOTATIONS.contains(&name) && !["$defs", "definitions"].contains(&name);
        let n_applied = keywords.keys().filter(|name| is_applied(name)).count();
        let has_own = keywords.keys().any(|name| !is_applied(name) && means(name));
        let n_combined = n_applied + usize::from(has_own) + all_of.map_or(0, |schemas| schemas.len() - 1);
        let is_combined = is_combined || n_combined > 1;

        let mut all = self.own(keywords, is_combined);
        for schema in all_of.into_iter().flatten() {
            all = all.and(self.of(schema, is_combined));
        }
        if let Some(schemas) = any_of {
            all = all.and(self.any(schemas, is_combined));
        }
        if let Some(schemas) = one_of {
            let mut any = self.any(schemas, is_combined);
            // Each pair is asked whether it excludes each other.
            any.size = any.size.saturating_add(any.alternatives.saturating_mul(any.alternatives) / 8);
            all = all.and(any);
        }
        if let Some(values) = values {
            let n = values.len() as u64;
            all = all.and(Parts { alternatives: n, size: values.iter().map(n_values).sum(), ..ONE });
        }
        if let Some(value) = keywords.get("const") {
            all = all.and(Parts { size: n_values(value), ..ONE });
        }
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str)
            && is_combined
        {
            all = all.and(self.copy(reference));
        }
        if n_combined > 1 {
            all.size = all.size.saturating_add(all.named.saturating_mul(all.others));
        }
        all
    }

    /// Of a schema's own keywords.
    fn own(&mut self, keywords: &'v serde_json::Map<String, Value>, is_combined: bool) -> Parts {
        let mut own = ONE;
        for (name, value) in keywords {
            let (schemas, is_named): (Vec<&Value>, bool) = match (name.as_str(), value) {
                ("properties", Value::Object(schemas)) => (schemas.values().collect(), true),
                ("items" | "prefixItems", Value::Array(schemas)) => (schemas.iter().collect(), true),
                ("patternProperties", Value::Object(schemas)) => (schemas.values().collect(), false),
                ("items" | "additionalItems" | "additionalProperties", schema) => (vec![schema], false),
                _ => continue,
            };
            for schema in schemas {
                let inner = self.of(schema, is_combined);
                own.size = own.size.saturating_add(inner.size);
                own.named = own.named.saturating_add(inner.named).saturating_add(u64::from(is_named));
                let others = if is_named { inner.others } else { inner.size };
                own.others = own.others.saturating_add(others);
            }
        }
        own
    }

    fn any(&mut self, schemas: &'v [Value], is_combined: bool) -> Parts {
        let none = Parts { alternatives: 0, size: 0, ..ONE };
        schemas.iter().fold(none, |any, schema| {
            let one = self.of(schema, is_combined);
            Parts {
                alternatives: any.alternatives.saturating_add(one.alternatives),
                size: any.size.saturating_add(one.size),
                named: any.named.saturating_add(one.named),
                others: any.others.saturating_add(one.others),
            }
        })
    }

    fn copy(&mut self, reference: &'v str) -> Parts {
        if let Some(parts) = self.known.get(reference) {
            return *parts;
        }
        self.known.insert(reference, ONE);
        let target = self.targets.get(reference).copied();
        let parts = target.map_or(ONE, |target| self.of(target, true));
        self.known.insert(reference, parts);
        parts
    }
}

impl Parts {
    fn and(self, other: Self) -> Self {
        let of_self = self.size.saturating_mul(other.alternatives);
        Self {
            alternatives: self.alternatives.saturating_mul(other.alternatives),
            size: of_self.saturating_add(other.size.saturating_mul(self.alternatives)),
            named: self.named.saturating_add(other.named),
            others: self.others.saturating_add(other.others),
        }
    }
}

fn n_values(value: &Value) -> u64 {
    match value {
        Value::Array(list) => 1 + list.iter().map(n_values).sum::<u64>(),
        Value::Object(map) => 1 + map.values().map(n_values).sum::<u64>(),
        _ => 1,
    }
}
