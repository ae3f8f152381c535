//! Making a scenario smaller while it still fails.

use sg_policy::model::{InterfaceSpec, SecurityGroup};

use super::{Change, Scenario, Step};
use crate::oracle::packet::{Content, Extension, Ip, Packet, Upper};

/// The most rounds over all parts; each makes the next one cheaper.
const ROUNDS: usize = 4;

/// Returns the smallest scenario found that fails, `scenario` itself if it is none.
pub fn shrink(scenario: &Scenario, mut fails: impl FnMut(&Scenario) -> bool) -> Scenario {
    let mut best = scenario.clone();
    for _ in 0..ROUNDS {
        let before = best.clone();
        drop_steps(&mut best, &mut fails);
        simplify_host(&mut best, &mut fails);
        simplify_packets(&mut best, &mut fails);
        if best == before {
            break;
        }
    }
    best
}

/// Takes a change over if the scenario still fails with it.
fn attempt(
    best: &mut Scenario,
    fails: &mut impl FnMut(&Scenario) -> bool,
    change: impl FnOnce(&mut Scenario),
) -> bool {
    let mut candidate = best.clone();
    change(&mut candidate);
    let better = candidate != *best && fails(&candidate);
    if better {
        *best = candidate;
    }
    better
}

/// Drops halves of the steps, quarters, and so on to single ones (delta debugging).
fn drop_steps(best: &mut Scenario, fails: &mut impl FnMut(&Scenario) -> bool) {
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 {
        let mut end = best.steps.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            attempt(best, fails, |scenario| {
                scenario.steps.drain(start..end);
            });
            end = start;
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
}

fn simplify_host(best: &mut Scenario, fails: &mut impl FnMut(&Scenario) -> bool) {
    attempt(best, fails, |scenario| scenario.host.others.clear());
    attempt(best, fails, |scenario| scenario.host.model.members.clear());
    attempt(best, fails, |scenario| {
        let spec = &mut scenario.host.interface;
        let mut plain = InterfaceSpec {
            groups: spec.groups.clone(),
            side: spec.side,
            ..InterfaceSpec::default()
        };
        // Wherever it runs.
        plain.infrastructure.ec2 = Some(false);
        *spec = plain;
    });
    while best.host.interface.groups.len() > 1
        && (attempt(best, fails, |scenario| {
            scenario.host.interface.groups.pop();
        }) || attempt(best, fails, |scenario| {
            scenario.host.interface.groups.remove(0);
        }))
    {}
    let names: Vec<_> = best.host.model.groups.keys().cloned().collect();
    for name in names {
        attempt(best, fails, |scenario| {
            let others = scenario.host.others.iter().map(|(groups, _)| groups);
            let later = scenario.steps.iter().filter_map(|step| match step {
                Step::Change(Change::Groups(groups) | Change::OtherGroups(_, groups)) => {
                    Some(groups)
                }
                _ => None,
            });
            // What an interface carries must be there.
            let mut carried = others.chain(later).chain([&scenario.host.interface.groups]);
            if !carried.any(|groups| groups.contains(&name)) {
                scenario.host.model.groups.remove(&name);
            }
        });
    }
    let names: Vec<_> = best.host.model.groups.keys().cloned().collect();
    for name in names {
        for inbound in [true, false] {
            let rules = |group: &SecurityGroup| {
                let rules = if inbound {
                    &group.inbound
                } else {
                    &group.outbound
                };
                rules.len()
            };
            for index in (0..rules(&best.host.model.groups[&name])).rev() {
                attempt(best, fails, |scenario| {
                    if let Some(group) = scenario.host.model.groups.get_mut(&name) {
                        let rules = if inbound {
                            &mut group.inbound
                        } else {
                            &mut group.outbound
                        };
                        rules.remove(index);
                    }
                });
            }
        }
    }
    attempt(best, fails, |scenario| {
        scenario.host.model.prefix_lists.clear();
    });
    let lists: Vec<_> = best.host.model.prefix_lists.clone().into_iter().collect();
    for (name, list) in lists {
        for entry in list.entries {
            attempt(best, fails, |scenario| {
                if let Some(list) = scenario.host.model.prefix_lists.get_mut(&name) {
                    list.entries.remove(&entry);
                }
            });
        }
    }
}

fn simplify_packets(best: &mut Scenario, fails: &mut impl FnMut(&Scenario) -> bool) {
    let simpler: [fn(&mut Packet); 7] = [
        |packet| packet.tags.clear(),
        |packet| packet.padding = 0,
        |packet| packet.cut = None,
        |packet| on_ip(packet, |ip| ip.options = 0),
        |packet| {
            on_ip(packet, |ip| {
                if !matches!(ip.extensions.last(), Some(Extension::Fragment(_))) {
                    ip.extensions.pop();
                }
            });
        },
        |packet| on_ip(packet, |ip| ip.kept = None),
        |packet| {
            on_ip(packet, |ip| {
                if let Upper::Tcp { data, .. } | Upper::Udp { data, .. } = &mut ip.upper {
                    *data = 0;
                }
            });
        },
    ];
    for index in 0..best.steps.len() {
        for simplify in simpler {
            attempt(best, fails, |scenario| {
                if let Step::Packet { packet, .. } = &mut scenario.steps[index] {
                    simplify(packet);
                }
            });
        }
        attempt(best, fails, |scenario| {
            if let Step::Packet { flips, .. } = &mut scenario.steps[index] {
                flips.pop();
            }
        });
    }
}

fn on_ip(packet: &mut Packet, change: impl FnOnce(&mut Ip)) {
    if let Content::Ip(ip) = &mut packet.content {
        change(ip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_dropped() {
        let udp = |step: &Step| {
            let Step::Packet { packet, .. } = step else {
                return false;
            };
            let Content::Ip(ip) = &packet.content else {
                return false;
            };
            matches!(ip.upper, Upper::Udp { .. })
        };
        let fails = |scenario: &Scenario| {
            let web = scenario.host.model.groups.get("web");
            scenario.steps.iter().filter(|step| udp(step)).count() >= 2
                && web.is_some_and(|web| web.inbound.len() > 1)
        };
        let mut scenarios = (0..).map(|seed| Scenario::random(seed, 100));
        let scenario = scenarios.find(fails).expect("one in a few");
        let small = shrink(&scenario, fails);
        assert!(fails(&small));
        assert_eq!(small.steps.len(), 2);
        assert!(small.steps.iter().all(udp));
        assert_eq!(small.host.interface.groups.len(), 1);
        let rules = small.host.model.groups.values();
        let count: usize = rules.map(|g| g.inbound.len() + g.outbound.len()).sum();
        assert_eq!(count, 2);
    }

    #[test]
    fn scenarios_survive_their_text() {
        let mut scenario = Scenario::random(3, 50);
        scenario.steps.push(Step::Change(Change::Policy(false)));
        let text = serde_json::to_string(&scenario).expect("serialises");
        assert_eq!(
            serde_json::from_str::<Scenario>(&text).expect("parses"),
            scenario
        );
    }
}
