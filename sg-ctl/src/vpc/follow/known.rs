//! The rules that a follower knows.

use std::sync::Arc;

use crate::vpc::Document;
use crate::vpc::claims::{Claims, Join, Membership, Refused};
use crate::vpc::trial::{Rules, Standing, Trial};

/// Rules that were understood.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Their revision.
    pub(super) revision: u64,
    /// What they say.
    pub(super) rules: Arc<Rules>,
    /// Whether they were on trial, and not confirmed in time.
    pub(super) has_lapsed: bool,
}

impl Known {
    /// The rules that count.
    pub(super) fn document(&self) -> &Document {
        self.rules.in_effect(self.has_lapsed)
    }

    /// The trial that runs.
    pub(super) fn trial(&self) -> Option<&Trial> {
        self.rules.trial.as_ref().filter(|_| !self.has_lapsed)
    }

    /// The rules that count, and those that they may return to.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Document> {
        let before = self.trial().map(|trial| &trial.before);
        [self.document()].into_iter().chain(before)
    }

    /// The rules that count as a host has them, with the members of their groups, and how they stand.
    pub(super) fn on_host(
        &self,
        claims: &Claims,
        host: &str,
        [join, join_before]: &mut [Join; 2],
    ) -> (Document, Standing, Membership) {
        let (document, mut membership) = on_host(self.document(), join, claims, host);
        let standing = match (self.trial(), self.has_lapsed) {
            (Some(trial), _) => {
                let (before, by_these) = on_host(&trial.before, join_before, claims, host);
                // Hosts claim by both.
                let is_refused_by_both = |refused: &Refused| by_these.refused.contains(refused);
                membership.refused.retain(is_refused_by_both);
                membership.refused_count = membership.refused.len();
                Standing::Running(Box::new(Trial {
                    before,
                    ..trial.clone()
                }))
            }
            (None, true) => Standing::Lapsed,
            (None, false) => Standing::Kept,
        };
        (document, standing, membership)
    }
}

/// Rules as a host has them, with the members of their groups.
fn on_host(
    document: &Document,
    join: &mut Join,
    claims: &Claims,
    host: &str,
) -> (Document, Membership) {
    let membership = join.follow(claims, document.model(), host);
    let (mut model, owners) = document.on_host(host).into_parts();
    for (group, addresses) in &membership.members {
        let members = model.members.entry(group.clone()).or_default();
        members.join(addresses);
    }
    (Document::new(model, owners), membership)
}
