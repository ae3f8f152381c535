//! Answers as scripts rely on them: each keeps to the schema that is committed, and says no more.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Answers that need neither root nor an interface, and are tried without.
pub(crate) const ROOTLESS: [&str; 6] = ["check", "error", "explain", "import", "templates", "test"];

/// The committed schemas, and whose answers have been checked.
pub(crate) struct Answers {
    schemas: Map<String, Value>,
    checked: BTreeSet<String>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        let schemas = include_str!("../../../docs/answers.json");
        Self {
            schemas: serde_json::from_str(schemas).expect("an object of schemas"),
            checked: BTreeSet::new(),
        }
    }

    /// Asserts that an answer, or each line of it, keeps to the schema of `name`.
    #[track_caller]
    pub(crate) fn check(&mut self, name: &str, text: &str) {
        let mut schema = self.schemas[name].clone();
        let definitions = schema["$defs"].clone();
        forbid_more(&mut schema, &definitions);
        let validator = jsonschema::validator_for(&schema).expect("a JSON schema");
        let mut count = 0;
        for answer in serde_json::Deserializer::from_str(text).into_iter() {
            let answer: Value = answer.unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
            let faults: Vec<_> = validator
                .iter_errors(&answer)
                .map(|fault| format!("{}: {fault}", fault.instance_path()))
                .collect();
            assert!(faults.is_empty(), "{name}: {faults:#?}\n{answer:#}");
            assert!(answer != json!([]), "{name}: an empty list shows nothing");
            count += 1;
        }
        assert!(count > 0, "{name}: no answer");
        self.checked.insert(name.to_owned());
    }

    /// The answers that have not been checked.
    pub(crate) fn unchecked(&self) -> Vec<&str> {
        let names = self.schemas.keys().map(String::as_str);
        names.filter(|name| !self.checked.contains(*name)).collect()
    }
}

/// Lets no object have fields that the schema does not name: scripts may not know them.
fn forbid_more(schema: &mut Value, definitions: &Value) {
    match schema {
        Value::Object(object) => {
            // One that adds fields to those of another: all together are what there is.
            if object.contains_key("properties")
                && let Some(other) = object.remove("$ref")
            {
                let name = other
                    .as_str()
                    .and_then(|path| path.strip_prefix("#/$defs/"));
                let other = definitions[name.expect("a definition")].clone();
                let fields = other["properties"].as_object().expect("fields").clone();
                let all = object["properties"].as_object_mut().expect("fields");
                all.extend(fields);
            }
            if object.contains_key("properties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            for (_, inner) in object.iter_mut() {
                forbid_more(inner, definitions);
            }
        }
        Value::Array(all) => all
            .iter_mut()
            .for_each(|inner| forbid_more(inner, definitions)),
        _ => {}
    }
}
