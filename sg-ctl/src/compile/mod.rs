//! From the model to the policy image: a pure function, so that the same rules always make the same
//! words, and anything that can be wrong is found before the kernel is touched.
//!
//! ```text
//! rules ─► peers ─► address ranges ─► classes        (peers.rs)
//! class, policy ─► matching rules ─► service ranges  (rows.rs)
//! ranges ─► words                                    (index.rs)
//! everything ─► words                                (this file; layout: sg_common::image)
//! ```

mod index;
mod numbers;
mod peers;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use sg_common::counters::RuleKey;
use sg_common::image::classes::MAX_RANGES;
use sg_common::image::{self, Cell, FORMAT_VERSION, MAGIC, MAX_ROW, SIZE_CLASSES, header};
use sg_common::outcome::Outcome;
use sg_common::policy::{self, Question};

use crate::model::{Direction, Model, Peer, Rule, SecurityGroup};

pub use numbers::{RuleNumbers, RuleRecord};
use peers::Classes;
use rows::Row;

/// Words of the largest image.
const LARGEST: usize = SIZE_CLASSES[SIZE_CLASSES.len() - 1];

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
    #[error("the rules cut the address space into {ranges} ranges, more than {MAX_RANGES}")]
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
    #[error("the image takes {bytes} bytes, more than the largest of {} bytes", LARGEST * 4)]
    TooLarge {
        /// How large it would be.
        bytes: usize,
    },
    /// All rule numbers have been given out.
    #[error("no rule number is left")]
    NumbersExhausted,
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
    let policies = merge(model, zones)?;
    let peers = policies
        .iter()
        .flat_map(|policy| &policy.rules)
        .flatten()
        .map(|rule| rule.peer);
    let classes = Classes::cut(peers.clone(), |peer| peer_ranges(model, zones, peer));
    if classes.ranges.len() > MAX_RANGES as usize {
        return Err(CompileError::TooManyRanges {
            ranges: classes.ranges.len(),
        });
    }
    let mut writer = Writer::new(zones, &classes);
    for policy in &policies {
        for direction in Direction::ALL {
            let table = writer.table(policy, direction, &classes, numbers)?;
            for zone in &policy.zones {
                writer.set_policy(*zone, direction, table);
            }
        }
    }
    writer.finish(generation)
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

/// The address ranges that a peer stands for. A group stands for its members, here and elsewhere;
/// without members it stands for nobody.
pub(crate) fn peer_ranges(model: &Model, zones: &[ZonePolicy], peer: &Peer) -> Vec<ipnet::IpNet> {
    match peer {
        Peer::Cidr(net) => vec![*net],
        Peer::PrefixList(name) => model
            .prefix_lists
            .get(name)
            .map(|list| list.entries.iter().copied().collect())
            .unwrap_or_default(),
        Peer::Group(name) => {
            let elsewhere = model.members.get(name).into_iter().flatten().copied();
            let here = zones
                .iter()
                .filter(|zone| zone.groups.contains(name))
                .flat_map(|zone| zone.addresses.iter().copied());
            elsewhere.chain(here).map(ipnet::IpNet::from).collect()
        }
    }
}

/// Lays the parts out and remembers where they are.
struct Writer {
    words: Vec<u32>,
    numbered: BTreeSet<RuleKey>,
    rows: HashMap<Row, u32>,
    tables: HashMap<Vec<u32>, u32>,
}

impl Writer {
    fn new(zones: &[ZonePolicy], classes: &Classes<'_>) -> Self {
        let mut words = vec![0; header::LEN as usize];
        for (field, fields) in [
            (header::IPV4, index::ipv4(&classes.ranges, &mut words)),
            (header::IPV6, index::ipv6(&classes.ranges, &mut words)),
        ] {
            words[field as usize..][..fields.len()].copy_from_slice(&fields);
        }
        words[header::POLICIES as usize] = words.len() as u32;
        let zone_count = zones.iter().map(|zone| zone.zone + 1).max().unwrap_or(0);
        words.resize(words.len() + zone_count as usize * 2, 0);
        words[header::RANGES as usize] = classes.ranges.len() as u32;
        words[header::CLASSES as usize] = classes.peers.len() as u32;
        words[header::ZONES as usize] = zone_count;
        Self {
            words,
            numbered: BTreeSet::new(),
            rows: HashMap::new(),
            tables: HashMap::new(),
        }
    }

    /// Writes the class table of a policy and its rows; equal rows and tables are shared.
    fn table(
        &mut self,
        policy: &Policy<'_>,
        direction: Direction,
        classes: &Classes<'_>,
        numbers: &mut RuleNumbers,
    ) -> Result<u32, CompileError> {
        let cells = policy.rules[direction as usize]
            .iter()
            .map(|merged| numbers.number(merged.group, direction, merged.rule))
            .collect::<Option<Vec<_>>>()
            .ok_or(CompileError::NumbersExhausted)?;
        for zone in &policy.zones {
            let keys = cells.iter().map(|rule| RuleKey {
                zone: *zone,
                rule: *rule,
            });
            self.numbered.extend(keys);
        }
        let untracked = rows::untracked(policy, direction);
        let mut matching = vec![Vec::new(); classes.peers.len()];
        for (rank, merged) in policy.rules[direction as usize].iter().enumerate() {
            for class in classes.containing(merged.peer) {
                matching[*class as usize].push(rank);
            }
        }
        let mut by_rules: HashMap<Vec<usize>, u32> = HashMap::new();
        let mut table = Vec::with_capacity(matching.len());
        for ranks in matching {
            if let Some(offset) = by_rules.get(&ranks) {
                table.push(*offset);
                continue;
            }
            let row = Row::of(&ranks, |rank| {
                let merged = &policy.rules[direction as usize][rank];
                (merged.rule.service, cells[rank], untracked[rank])
            });
            if row.len() > MAX_ROW as usize {
                return Err(CompileError::TooManyServices {
                    groups: policy.groups.to_vec(),
                    ranges: row.len(),
                });
            }
            let offset = self.row(row);
            by_rules.insert(ranks, offset);
            table.push(offset);
        }
        if let Some(offset) = self.tables.get(&table) {
            return Ok(*offset);
        }
        let offset = self.words.len() as u32;
        self.words.extend(&table);
        self.tables.insert(table, offset);
        Ok(offset)
    }

    fn row(&mut self, row: Row) -> u32 {
        if let Some(offset) = self.rows.get(&row) {
            return *offset;
        }
        let offset = self.words.len() as u32;
        self.words.push(row.len() as u32);
        self.words.extend(row.starts());
        self.words.extend(row.cells().map(|cell: Cell| cell.0));
        self.rows.insert(row, offset);
        offset
    }

    fn set_policy(&mut self, zone: u32, direction: Direction, table: u32) {
        let directory = self.words[header::POLICIES as usize];
        self.words[(directory + zone * 2 + direction as u32) as usize] = table;
    }

    fn finish(mut self, generation: u64) -> Result<Image, CompileError> {
        if self.words.len() > LARGEST {
            return Err(CompileError::TooLarge {
                bytes: self.words.len() * 4,
            });
        }
        let checksum = image::checksum(&self.words[header::LEN as usize..]);
        for (field, value) in [
            (header::MAGIC, MAGIC),
            (header::FORMAT, FORMAT_VERSION),
            (header::GENERATION_LOW, generation as u32),
            (header::GENERATION_HIGH, (generation >> 32) as u32),
            (header::WORDS, self.words.len() as u32),
            (header::CHECKSUM, checksum),
        ] {
            self.words[field as usize] = value;
        }
        Ok(Image {
            words: self.words,
            rules: self.numbered.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
