//! Rule files: YAML (and so JSON) that says which groups exist and which interfaces carry them.
//!
//! Reading is strict and total: every file is read to its end, and everything wrong in any of them
//! is reported at once, with its place and a remedy. Several files make one model.
//!
//! `text::document` keeps the places of all values, `syntax` lists the keys, `decode` turns one into
//! the other; `merge` makes the model and checks what concerns more than one value.

mod console;
mod declare;
mod decode;
mod groups;
mod icmp;
mod lists;
mod members;
mod merge;
mod names;
mod peer;
mod quota;
mod rule;
mod scalar;
mod service;
mod syntax;
mod template;
mod warnings;
mod write;

pub use console::console_types;
use decode::Decode;
use document::Tags;
use error::Problems;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
pub use template::{TEMPLATES, Template};
pub use write::{to_json, to_yaml};

use crate::model::Model;
pub use crate::text::{Diagnostic, Report, Severity, Source};
use crate::text::{document, report as error};
pub use merge::Origins;

/// What rule files say.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The model, checked in every respect.
    pub model: Model,
    /// Which file defines what.
    pub origins: Origins,
    /// What is allowed but probably not meant.
    pub warnings: Report,
}

/// Reads rule files together.
///
/// # Errors
///
/// Everything that is wrong in any of them, and the warnings.
pub fn read(sources: &[Source]) -> Result<Parsed, Report> {
    let mut problems = Problems::new(sources);
    let mut documents = Vec::with_capacity(sources.len());
    for (file, source) in sources.iter().enumerate() {
        let Some(node) = document::parse(file, source, Tags::Refused, &mut problems) else {
            continue;
        };
        let cursor = decode::Cursor {
            node: &node,
            path: &decode::Path::Root,
        };
        documents.extend(syntax::Document::decode(cursor, &mut problems));
    }
    let (model, origins) = merge::model(documents, &mut problems);
    let report = problems.finish();
    if report.errors() > 0 {
        Err(report)
    } else {
        Ok(Parsed {
            model,
            origins,
            warnings: report,
        })
    }
}

/// The JSON schema of a rule file, for editors.
///
/// It describes single values; what concerns several, such as references, only [`read`] checks.
pub fn schema() -> serde_json::Value {
    // Descriptions are comments, wrapped where the source is.
    let unwrap_lines = RecursiveTransform(|schema: &mut Schema| {
        if let Some(serde_json::Value::String(text)) = schema.get_mut("description") {
            *text = text.replace('\n', " ");
        }
    });
    let settings = SchemaSettings::draft2020_12().with_transform(unwrap_lines);
    settings
        .into_generator()
        .into_root_schema_for::<syntax::Document>()
        .to_value()
}

#[cfg(test)]
mod tests;
