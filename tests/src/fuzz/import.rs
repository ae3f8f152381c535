//! Importers: any document is read to its end, and what is imported is a right rule file.

use std::path::Path;

use sg_policy::{
    import::{Imported, Options, import},
    rulefile::to_yaml,
};

use super::{
    files,
    rule_file::{NEXT_FILE, inspect, sources, survives},
};

/// Imports an input.
pub(super) fn run(input: &[u8]) {
    let Some(sources) = sources(input) else {
        return;
    };
    match import(&sources, &Options::default()) {
        Ok(Imported { model, warnings }) => {
            assert_eq!(warnings.errors(), 0);
            inspect(&warnings, &sources);
            survives(&model, to_yaml(&model).expect("models are plain data"));
        }
        Err(report) => {
            assert_ne!(report.errors(), 0, "refused, but for nothing");
            inspect(&report, &sources);
        }
    }
}

/// The documents of the importers' own tests, each alone and all together.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sg-ctl/policy/src/import/tests/data");
    let mut seeds = files(&data, &["json", "yaml", "yml", "template"]);
    seeds.push(seeds.join(NEXT_FILE.to_string().as_bytes()));
    seeds
}
