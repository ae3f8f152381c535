//! From the model to the policy image: a pure function, so that the same rules always make the same
//! words, and anything that can be wrong is found before the kernel is touched.
//!
//! ```text
//! rules ─► peers ─► address ranges ─► classes        (peers.rs)
//! class, policy ─► matching rules                    (tables.rs)
//! matching rules ─► service ranges                   (rows.rs)
//! ranges ─► words                                    (index.rs)
//! everything ─► words                                (writer.rs; layout: sg_common::image)
//! ```

mod index;
mod numbers;
mod peers;
mod rows;
mod sets;
mod tables;
mod writer;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use sg_common::counters::RuleKey;
use sg_common::image::classes::MAX_RANGES;
use sg_common::image::{self, MAX_ROW, SIZE_CLASSES, header};
use sg_common::outcome::Outcome;
use sg_common::policy::{self, Question};

use crate::model::{Direction, Model, Peer, Rule, SecurityGroup};

pub use numbers::{RuleNumbers, RuleRecord};
use peers::Classes;
use writer::Writer;

/// Words of the largest image.
const LARGEST: usize = SIZE_CLASSES[SIZE_CLASSES.len() - 1];
/// The same in MiB.
const LARGEST_MIB: usize = (LARGEST * size_of::<u32>()) >> 20;

/// The groups of one guarded interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZonePolicy {
    /// Slot of the interface.
    pub zone: u32,
    /// Names of the groups that it carries, in the order that picks the deciding rule.
    pub groups: Vec<String>,
    /// Addresses of the protected side, which make it a member of its groups.
    pub addresses: Vec<IpAddr>,
}

/// Why a model cannot be compiled. Nothing has been changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A zone carries a group that the model does not have.
    #[error("group `{group}` is not defined")]
    UnknownGroup {
        /// The name.
        group: String,
    },
    /// More address ranges than a look-up takes steps for.
    #[error(
        "the rules cut the addresses of one family into {ranges} ranges, more than {MAX_RANGES}"
    )]
    TooManyRanges {
        /// How many there would be.
        ranges: usize,
    },
    /// More service ranges for one peer than a look-up takes steps for.
    #[error("groups {groups:?} give one peer {ranges} service ranges, more than {MAX_ROW}")]
    TooManyServices {
        /// The groups, merged.
        groups: Vec<String>,
        /// How many ranges there would be.
        ranges: usize,
    },
    /// Larger than the largest image.
    #[error(
        "the policies take more than {LARGEST_MIB} MiB, the largest image: {done} of {policies} fit, \
         with the next one it has {bytes} bytes"
    )]
    TooLarge {
        /// How large it was when it became too large.
        bytes: usize,
        /// How many policies fit.
        done: usize,
        /// How many there are.
        policies: usize,
    },
    /// All rule numbers have been given out.
    #[error("no rule number is left")]
    NumbersExhausted,
}

impl CompileError {
    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::UnknownGroup { .. } => return None,
            Self::TooManyRanges { .. } => {
                "an address or range that stands alone counts twice, neighbours of one group or list \
                 once: write ranges instead of many addresses, or name fewer"
            }
            Self::TooManyServices { .. } => {
                "write ranges of ports instead of many ports, or name fewer"
            }
            Self::TooLarge { .. } => {
                "write ranges instead of many addresses, and fewer rules; interfaces with the same \
                 groups in the same order share a policy: let more of them do so"
            }
            Self::NumbersExhausted => {
                "every rule that there ever was has one: begin anew with `sg-ctl detach --all` and an \
                 empty state directory"
            }
        };
        Some(text.to_owned())
    }
}

/// A compiled policy image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    words: Vec<u32>,
    rules: Vec<RuleKey>,
}

impl Image {
    /// The words, as the kernel reads them.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The rules of every interface, in ascending order.
    pub fn rules(&self) -> &[RuleKey] {
        &self.rules
    }

    /// The generation number that it was compiled with.
    pub fn generation(&self) -> u64 {
        image::generation(self.words.as_slice())
    }

    /// Number of peer classes.
    pub fn classes(&self) -> u32 {
        self.words[header::CLASSES as usize]
    }

    /// Number of address ranges.
    pub fn ranges(&self) -> u32 {
        self.words[header::RANGES as usize]
    }

    /// What the kernel would answer.
    pub fn answer(&self, question: &Question) -> Outcome {
        policy::answer(self.words.as_slice(), question)
    }
}

/// Compiles the policies of all zones into one image.
///
/// # Errors
/// See [`CompileError`]; `numbers` may then hold numbers that no image uses, which does no harm.
pub fn compile(
    model: &Model,
    zones: &[ZonePolicy],
    numbers: &mut RuleNumbers,
    generation: u64,
) -> Result<Image, CompileError> {
    compile_within(LARGEST, model, zones, numbers, generation)
}

/// Compiles into at most so many words.
fn compile_within(
    words: usize,
    model: &Model,
    zones: &[ZonePolicy],
    numbers: &mut RuleNumbers,
    generation: u64,
) -> Result<Image, CompileError> {
    let policies = merge(model, zones)?;
    let peers = policies
        .iter()
        .flat_map(|policy| &policy.rules)
        .flatten()
        .map(|rule| rule.peer);
    let classes = Classes::cut(peers, |peer, marks| {
        if let Peer::Group(name) = peer {
            marks.reserve(model.members.get(name).map_or(0, |members| members.len()));
        }
        each_range(model, zones, peer, |range| marks.add(range));
    });
    let ranges = classes.ipv4.len().max(classes.ipv6.len());
    if ranges > MAX_RANGES as usize {
        return Err(CompileError::TooManyRanges { ranges });
    }
    let mut writer = Writer::new(&classes);
    for (done, policy) in policies.iter().enumerate() {
        for direction in Direction::ALL {
            let table = writer.table(policy, direction, &classes, numbers)?;
            for zone in &policy.zones {
                writer.set_policy(*zone, direction, table);
            }
        }
        // At once: what does not fit by far must not fill the memory first.
        if writer.len() > words {
            return Err(CompileError::TooLarge {
                bytes: writer.len() * size_of::<u32>(),
                done,
                policies: policies.len(),
            });
        }
    }
    Ok(writer.finish(generation))
}

/// A rule within the merge of one policy.
struct MergedRule<'a> {
    group: &'a SecurityGroup,
    rule: &'a Rule,
    peer: &'a Peer,
}

/// The merge of the groups of some zones: rules by direction, in the order that picks the deciding
/// rule.
struct Policy<'a> {
    groups: &'a [String],
    zones: Vec<u32>,
    rules: [Vec<MergedRule<'a>>; 2],
}

fn merge<'a>(model: &'a Model, zones: &'a [ZonePolicy]) -> Result<Vec<Policy<'a>>, CompileError> {
    let mut by_groups: BTreeMap<&[String], Policy<'a>> = BTreeMap::new();
    for zone in zones {
        if let Some(policy) = by_groups.get_mut(zone.groups.as_slice()) {
            policy.zones.push(zone.zone);
            continue;
        }
        let mut rules = [Vec::new(), Vec::new()];
        for name in &zone.groups {
            let group = model
                .groups
                .get(name)
                .ok_or_else(|| CompileError::UnknownGroup {
                    group: name.clone(),
                })?;
            for direction in Direction::ALL {
                rules[direction as usize].extend(group.rules(direction).iter().map(|rule| {
                    MergedRule {
                        group,
                        rule,
                        peer: &rule.peer,
                    }
                }));
            }
        }
        let policy = Policy {
            groups: &zone.groups,
            zones: vec![zone.zone],
            rules,
        };
        by_groups.insert(&zone.groups, policy);
    }
    Ok(by_groups.into_values().collect())
}

/// Calls with each address range that a peer stands for. A group stands for its members, here and
/// elsewhere; without members it stands for nobody.
pub(crate) fn each_range(
    model: &Model,
    zones: &[ZonePolicy],
    peer: &Peer,
    mut call: impl FnMut(IpNet),
) {
    match peer {
        Peer::Cidr(net) => call(*net),
        Peer::PrefixList(name) => {
            let list = model.prefix_lists.get(name).into_iter();
            list.flat_map(|list| &list.entries).copied().for_each(call);
        }
        Peer::Group(name) => {
            let elsewhere = model.members.get(name).into_iter().flatten();
            let here = zones
                .iter()
                .filter(|zone| zone.groups.contains(name))
                .flat_map(|zone| &zone.addresses);
            let addresses = elsewhere.chain(here).copied();
            addresses.map(IpNet::from).for_each(call);
        }
    }
}

#[cfg(test)]
mod limits;
#[cfg(test)]
mod tests;
