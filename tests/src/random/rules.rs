//! The counters of rules: what the oracle says that each rule admitted.

use std::collections::BTreeMap;

use sg_common::reason::{Reason, Verdict};

use super::check::{Mismatch, same};
use crate::oracle::{Judgement, RuleName};

/// New flows, packets and bytes by rule.
pub type RuleTallies = BTreeMap<RuleName, [u64; 3]>;

/// Compares what the rules in force have admitted since they are, given what they had admitted
/// `before`, and judgements with the lengths of their frames.
///
/// # Errors
/// The first difference.
pub(super) fn compare<'j>(
    before: &RuleTallies,
    judged: impl Iterator<Item = (&'j Judgement, u32)>,
    found: &RuleTallies,
) -> Result<(), Mismatch> {
    let mut expected = before.clone();
    for (said, bytes) in judged {
        // Of packets that are dropped the interface counts the reasons, and of flows whose rule is
        // gone nobody counts anything.
        if said.reason.verdict() == Verdict::Pass
            && let Some(tally) = said.rule.as_ref().and_then(|rule| expected.get_mut(rule))
        {
            tally[0] += u64::from(said.reason == Reason::New);
            tally[1] += 1;
            tally[2] += u64::from(bytes);
        }
    }
    for (rule, expected) in &expected {
        let what = format!("flows, packets and bytes of {rule:?}");
        same(None, &what, &Some(expected), &found.get(rule))?;
    }
    same(
        None,
        "rules that are counted",
        &expected.len(),
        &found.len(),
    )
}
