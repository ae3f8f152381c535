//! Lays the parts of an image out and remembers where they are: equal rows, pages and tables are one.

use std::collections::HashMap;

use sg_common::counters::RuleKey;
use sg_common::image::classes::{CHUNK_WORDS, RANGE_WORDS};
use sg_common::image::{
    self, CLASS_PAGE, Cell, DIRECTORY, DIRECTORY_LEN, FORMAT_VERSION, MAGIC, MAX_ROW, header,
};

use super::peers::Classes;
use super::rows::{self, Row};
use super::sets::EMPTY;
use super::tables::Matches;
use super::{CompileError, Image, Policy, RuleNumbers, index};
use crate::model::Direction;

/// An image that is being written.
pub(super) struct Writer {
    words: Vec<u32>,
    numbered: Vec<RuleKey>,
    rows: HashMap<Row, u32>,
    /// Pages and tables.
    blocks: HashMap<Vec<u32>, u32>,
    matches: Matches,
}

impl Writer {
    /// Writes the look-up of classes; no zone has a policy yet.
    pub(super) fn new(classes: &Classes<'_>) -> Self {
        let begin = (DIRECTORY + DIRECTORY_LEN) as usize;
        // Ranges and chunks are most of a large image: room for them at once, and none is copied.
        let ranges = classes.ipv4.len() + classes.ipv6.len();
        let each = (RANGE_WORDS + CHUNK_WORDS) as usize;
        let mut words = Vec::with_capacity(begin + 2 * each * ranges);
        words.resize(begin, 0);
        for (field, fields) in [
            (header::IPV4, index::ipv4(&classes.ipv4, &mut words)),
            (header::IPV6, index::ipv6(&classes.ipv6, &mut words)),
        ] {
            words[field as usize..][..fields.len()].copy_from_slice(&fields);
        }
        words[header::RANGES as usize] = ranges as u32;
        words[header::CLASSES as usize] = classes.count as u32;
        Self {
            words,
            numbered: Vec::new(),
            rows: HashMap::new(),
            blocks: HashMap::new(),
            matches: Matches::new(classes.count),
        }
    }

    /// Words so far.
    pub(super) const fn len(&self) -> usize {
        self.words.len()
    }

    /// Writes the class table of a policy, its pages and rows; returns its offset.
    pub(super) fn table(
        &mut self,
        policy: &Policy<'_>,
        direction: Direction,
        classes: &Classes<'_>,
        numbers: &mut RuleNumbers,
    ) -> Result<u32, CompileError> {
        let rules = &policy.rules[direction as usize];
        let cells = rules
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
        let mut matches = std::mem::take(&mut self.matches);
        for (rank, merged) in rules.iter().enumerate() {
            matches.add(rank, classes.containing(merged.peer));
        }
        let mut table = vec![0; matches.pages()];
        let mut row_of: HashMap<u32, u32> = HashMap::from([(EMPTY, 0)]);
        let mut last: (Vec<u32>, u32) = (Vec::new(), 0);
        matches.drain(|number, sets, page| {
            // A peer of very many addresses fills page after page with the same.
            if last.0 == page {
                table[number] = last.1;
                return Ok(());
            }
            let mut words = Vec::with_capacity(page.len());
            for set in page {
                if let Some(offset) = row_of.get(set) {
                    words.push(*offset);
                    continue;
                }
                let row = Row::of(sets.members(*set), |rank| {
                    let service = rules[rank as usize].rule.service;
                    (service, cells[rank as usize], untracked[rank as usize])
                });
                if row.len() > MAX_ROW as usize {
                    return Err(CompileError::TooManyServices {
                        groups: policy.groups.to_vec(),
                        ranges: row.len(),
                    });
                }
                let offset = self.row(row);
                row_of.insert(*set, offset);
                words.push(offset);
            }
            last = (page.to_vec(), self.block(words));
            table[number] = last.1;
            Ok(())
        })?;
        self.matches = matches;
        if table.contains(&0) {
            let empty = self.block(vec![0; CLASS_PAGE as usize]);
            for page in table.iter_mut().filter(|page| **page == 0) {
                *page = empty;
            }
        }
        Ok(self.block(table))
    }

    /// Writes words unless they are there already; returns their offset.
    fn block(&mut self, words: Vec<u32>) -> u32 {
        if let Some(offset) = self.blocks.get(&words) {
            return *offset;
        }
        let offset = self.words.len() as u32;
        self.words.extend(&words);
        self.blocks.insert(words, offset);
        offset
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

    /// Gives a zone its policy: the class table of a direction.
    pub(super) fn set_policy(&mut self, zone: u32, direction: Direction, table: u32) {
        self.words[(DIRECTORY + zone * 2 + direction as u32) as usize] = table;
    }

    /// Completes the header.
    pub(super) fn finish(mut self, generation: u64) -> Image {
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
        self.numbered.sort_unstable();
        self.numbered.dedup();
        Image {
            words: self.words,
            rules: self.numbered,
        }
    }
}
