//! The rule that decided, as flows and events name it.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use sg_policy::compile::RuleNumbers;

/// A rule as flows and events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RuleRef {
    /// The number that the programs know.
    pub number: u32,
    /// The rule's id; null when the number is of another installation's state.
    pub id: Option<String>,
    /// The group's name.
    pub group: Option<String>,
    /// The group's id.
    pub group_id: Option<String>,
}

impl RuleRef {
    /// The rule with a number; `None` for 0, which stands for no rule.
    pub fn find(number: u32, numbers: &RuleNumbers) -> Option<Self> {
        let record = numbers.rule(number);
        (number != 0).then(|| Self {
            number,
            id: record.map(|record| record.rule_id.to_string()),
            group: record.map(|record| record.group.clone()),
            group_id: record.map(|record| record.group_id.to_string()),
        })
    }

    /// The id, or the number where there is none.
    pub fn id_text(&self) -> String {
        match &self.id {
            Some(id) => id.clone(),
            None => format!("#{}", self.number),
        }
    }
}

impl fmt::Display for RuleRef {
    /// Writes `rule=ID group=NAME`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule={}", self.id_text())?;
        match &self.group {
            Some(group) => write!(f, " group={}", quoted(group)),
            None => Ok(()),
        }
    }
}

/// A value as it stands after `name=`: in quotes when it would not be one word.
pub fn quoted(value: &str) -> String {
    let is_word = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=';
    if !value.is_empty() && value.chars().all(is_word) {
        return value.to_owned();
    }
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_are_no_word_are_quoted() {
        assert_eq!(quoted("web"), "web");
        assert_eq!(quoted("web tier"), "\"web tier\"");
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
        assert_eq!(quoted(""), "\"\"");
    }
}
