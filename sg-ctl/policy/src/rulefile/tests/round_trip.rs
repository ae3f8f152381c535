//! Models survive being written and read again, whatever their names look like.

use std::sync::LazyLock;

use proptest::prelude::*;

use crate::model::Model;
use crate::model::arbitrary::model;
use crate::rulefile::{Source, read, schema, to_json, to_yaml};

static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).expect("a JSON schema"));

fn read_back(text: String) -> Model {
    let source = Source {
        name: "model".to_owned(),
        text,
    };
    match read(std::slice::from_ref(&source)) {
        Ok(parsed) => parsed.model,
        Err(report) => panic!("{report}\n{}", source.text),
    }
}

proptest! {
    #[test]
    fn models_survive_yaml_and_json(model in model()) {
        prop_assert_eq!(model.check(), Ok(()));
        prop_assert!(SCHEMA.is_valid(&to_json(&model)));
        prop_assert_eq!(&read_back(to_yaml(&model).expect("YAML")), &model);
        prop_assert_eq!(&read_back(to_json(&model).to_string()), &model);
        let state = serde_json::to_string(&model).expect("JSON");
        prop_assert_eq!(&serde_json::from_str::<Model>(&state).expect("JSON"), &model);
    }
}
