//! Rule files: any text is read to its end, and what is read can be written and read again.

use std::path::Path;

use sg_policy::{
    compile::{RuleNumbers, ZonePolicy, compile},
    model::Model,
    rulefile::{Parsed, Report, Source, read, to_json, to_yaml},
};

use super::files;

/// Between the files of an input: a sign that YAML does not know.
pub(super) const NEXT_FILE: char = '\u{c}';

/// Reads an input as rule files.
pub(super) fn run(input: &[u8]) {
    let Some(sources) = sources(input) else {
        return;
    };
    match read(&sources) {
        Ok(Parsed {
            model, warnings, ..
        }) => {
            assert_eq!(warnings.errors(), 0);
            inspect(&warnings, &sources);
            survives(&model, to_yaml(&model).expect("models are plain data"));
            survives(&model, to_json(&model).to_string());
            compiles(&model);
        }
        Err(report) => {
            assert_ne!(report.errors(), 0, "refused, but for nothing");
            inspect(&report, &sources);
        }
    }
}

/// The files of an input; `None` if it is no text.
pub(super) fn sources(input: &[u8]) -> Option<Vec<Source>> {
    let files = std::str::from_utf8(input).ok()?.split(NEXT_FILE);
    let source = |(index, text): (usize, &str)| Source {
        name: format!("{index}.yaml"),
        text: text.to_owned(),
    };
    Some(files.enumerate().map(source).collect())
}

/// Every finding is about a place that exists, and can be shown.
pub(super) fn inspect(report: &Report, sources: &[Source]) {
    for found in &report.diagnostics {
        let source = sources.iter().find(|source| source.name == found.file);
        let text = &source.expect("one of the files").text;
        // A line ends with either sign, or both.
        let text = text.replace("\r\n", "\n");
        let mut lines = text.split(['\n', '\r']);
        let line = (found.line > 0)
            .then(|| lines.nth(found.line as usize - 1))
            .flatten();
        let line = line.unwrap_or_else(|| panic!("no such line: {found:?}"));
        let columns = 1..=line.chars().count() as u32 + 1;
        assert!(columns.contains(&found.column), "no such column: {found:?}");
        assert_ne!(found.message, "");
        assert_ne!(found.help, "");
    }
    assert_eq!(report.to_string().is_empty(), report.styled().is_empty());
}

/// What was written gives the same model again.
pub(super) fn survives(model: &Model, text: String) {
    let name = "written".to_owned();
    let source = Source { name, text };
    match read(std::slice::from_ref(&source)) {
        Ok(again) => assert_eq!(again.model, *model, "\n{}", source.text),
        Err(report) => panic!("{report}\n{}", source.text),
    }
}

/// Its interfaces have policies: a rule file is not refused after it was checked.
fn compiles(model: &Model) {
    let zones: Vec<_> = (0..)
        .zip(model.interfaces.values())
        .map(|(zone, interface)| ZonePolicy {
            zone,
            groups: interface.groups.clone(),
            addresses: Vec::new(),
        })
        .collect();
    let compiled = compile(model, &zones, &mut RuleNumbers::default(), 1);
    compiled.unwrap_or_else(|error| panic!("{error}"));
}

/// The examples, the rule files in the documentation, and each of their sections alone.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts: Vec<String> = files(&root.join("examples"), &["yaml", "yml", "json"])
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).expect("rule files are text"))
        .collect();
    for page in files(&root.join("docs"), &["md"]) {
        let page = String::from_utf8(page).expect("documentation is text");
        let blocks = page.split("```yaml\n").skip(1);
        texts.extend(
            blocks
                .filter_map(|rest| rest.split("```").next())
                .map(str::to_owned),
        );
    }
    let whole = texts.join(&NEXT_FILE.to_string());
    texts.push(whole);
    texts.into_iter().map(String::into_bytes).collect()
}
