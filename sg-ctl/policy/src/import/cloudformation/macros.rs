//! Macros and loops: they are not expanded here, and what they may change is not trusted.

use super::Reader;
use crate::import::view::View;
use crate::text::document::Value;

/// Transforms of AWS that leave groups and rules as they are.
const HARMLESS: [&str; 6] = [
    "AWS::CodeDeployBlueGreen",
    "AWS::LanguageExtensions",
    "AWS::SecretsManager-2020-07-23",
    "AWS::SecretsManager-2024-09-16",
    "AWS::Serverless-2016-10-31",
    "AWS::ServiceCatalog",
];

/// What to do about them.
const PROCESSED: &str =
    "import the processed template: `aws cloudformation get-template --template-stage Processed`";

impl<'a> Reader<'a, '_, '_, '_> {
    /// Warns of macros that may change the whole template.
    pub(super) fn macros(&mut self, root: &View<'a>) {
        let Some(transform) = root.get("Transform") else {
            return;
        };
        let all = match transform.value() {
            Value::List(_) => transform.items(),
            _ => vec![transform],
        };
        for one in all {
            let named = one.get("Name");
            let name = named.as_ref().unwrap_or(&one).as_text();
            let name = name.unwrap_or("Fn::Transform");
            if HARMLESS.contains(&name) {
                continue;
            }
            self.default_outbound = false;
            let message = format!(
                "the macro `{name}` may change everything: what is imported is the template \
                 before that, and of outbound rules only those that it states"
            );
            self.problems.warning(&one.at(), message, PROCESSED);
        }
    }

    /// An entry of `Resources` that is no resource.
    pub(super) fn no_resource(&mut self, id: &str, view: &View<'a>) {
        if id == "Fn::Transform" {
            self.default_outbound = false;
        }
        let message = "this is no resource: not carried over";
        let help = format!("loops and macros are not expanded here: {PROCESSED}");
        self.problems.warning(&view.at(), message, help);
    }
}
