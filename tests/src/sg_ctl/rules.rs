//! Rule files of tests.

/// Rules for a flow table of 4 MiB: whoever attaches first waits until the kernel has cleared it, 64 MiB
/// where nothing is said, and a test has no use for that.
pub(super) fn with_small_table(rules: &str) -> String {
    let mut lines = rules.lines();
    let first = lines.find(|line| line.trim_end().ends_with(':'));
    let Some(first) = first.filter(|_| !rules.contains("limits:")) else {
        return rules.to_owned();
    };
    let margin = &first[..first.len() - first.trim_start().len()];
    let end = rules.trim_end();
    format!("{end}\n{margin}limits: {{ flow_table_size: 16384 }}\n")
}
