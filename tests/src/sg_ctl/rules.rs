//! Rule files of tests.

use std::fs;

use super::SgCtl;

impl SgCtl<'_> {
    /// Writes a rule file, for a small flow table unless it says otherwise, and returns its path. Of two
    /// for one command one must say so.
    pub fn rule_file(&self, name: &str, rules: &str) -> String {
        self.whole_rule_file(name, &with_small_table(rules))
    }

    /// Writes a rule file as it is given, and returns its path.
    pub fn whole_rule_file(&self, name: &str, rules: &str) -> String {
        let path = self.directory().join(name);
        fs::write(&path, rules).expect("the directory is ours");
        path.display().to_string()
    }
}

/// Rules for a flow table of 4 MiB: whoever attaches first waits until the kernel has cleared it, 64 MiB
/// where nothing is said, and a test has no use for that.
fn with_small_table(rules: &str) -> String {
    let mut lines = rules.lines();
    let first = lines.find(|line| !line.trim().is_empty());
    // What is no mapping over several lines, or meant to be wrong from the start, stays as it is.
    let is_key = |line: &&str| line.trim_end().ends_with(':') && !line.contains('#');
    let Some(first) = first.filter(is_key).filter(|_| !rules.contains("limits:")) else {
        return rules.to_owned();
    };
    let margin = &first[..first.len() - first.trim_start().len()];
    let end = rules.trim_end();
    format!("{end}\n{margin}limits: {{ flow_table_size: 16384 }}\n")
}
