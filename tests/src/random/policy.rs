//! The policy of a random host, compiled, with the numbers that its rules have had.

use sg_policy::compile::{Image, RuleNumbers, ZonePolicy, compile};

use crate::{
    oracle::{Host, RuleName},
    prog::ZONE,
};

/// What `sg-ctl` keeps of a host between one `apply` and the next.
#[derive(Default)]
pub(super) struct Policy {
    numbers: RuleNumbers,
    generation: u64,
}

impl Policy {
    /// The image of a host.
    pub(super) fn compile(&mut self, host: &Host) -> Image {
        let judged = (&host.interface.groups, &host.addresses);
        let others = host.others.iter().map(|(groups, theirs)| (groups, theirs));
        let mut zones = Vec::new();
        for (zone, (groups, addresses)) in (ZONE..).zip([judged].into_iter().chain(others)) {
            if zone == ZONE && !host.has_policy {
                continue;
            }
            zones.push(ZonePolicy {
                zone,
                groups: groups.clone(),
                addresses: addresses.clone(),
            });
        }
        self.generation += 1;
        compile(&host.model, &zones, &mut self.numbers, self.generation)
            .expect("random hosts are small and name what they have")
    }

    /// The rule behind a number.
    pub(super) fn rule(&self, number: u32) -> Option<RuleName> {
        let record = self.numbers.rule(number)?;
        Some((record.group_id.clone(), record.rule_id.clone()))
    }
}
