//! Whether a plan tells all that an apply would do.

use crate::import::view::View;
use crate::text::report::Problems;

/// The versions of the format whose meaning is known: all of 0.x and 1.x.
const MAJOR_VERSIONS: [&str; 2] = ["0", "1"];

/// Warns of plans that are not whole, and of formats that came later.
pub(super) fn warn(root: &View<'_>, problems: &mut Problems<'_>) {
    if let Some(version) = root.get("format_version") {
        let text = version.as_text().unwrap_or_default();
        let major = text.split('.').next().unwrap_or_default();
        if !MAJOR_VERSIONS.contains(&major) {
            let message = format!("the format version `{text}` is not known");
            let help = "compare what is imported with what the state says";
            problems.warning(&version.at(), message, help);
        }
    }
    let is = |key: &str, wanted: &str| {
        let value = root.get(key);
        value.filter(|value| value.as_text() == Some(wanted))
    };
    if let Some(errored) = is("errored", "true") {
        let message = "the plan failed: resources are missing from it";
        let help = "mend what `terraform plan` reports, and import the new plan";
        problems.warning(&errored.at(), message, help);
    }
    let deferred = root.get("deferred_changes");
    let deferred = deferred.filter(|deferred| !deferred.is_empty());
    if let Some(deferred) = &deferred {
        let count = deferred.items().len();
        let message = format!("{count} changes are put off to a later plan: not carried over");
        let help = "apply, and import what `terraform show -json` prints of the state";
        problems.warning(&deferred.at(), message, help);
    }
    if let Some(complete) = is("complete", "false")
        && deferred.is_none()
        && is("errored", "true").is_none()
    {
        let message = "the plan is not complete: another one must follow it";
        let help = "apply both, and import what `terraform show -json` prints of the state";
        problems.warning(&complete.at(), message, help);
    }
}
