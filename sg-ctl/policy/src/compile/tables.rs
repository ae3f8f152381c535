//! Class tables: the row of each class under one policy, in pages, of which equal ones are one.

use std::collections::BTreeSet;

use sg_common::image::CLASS_PAGE;

use super::sets::{EMPTY, Sets};

/// The rules of one policy that match each class, as a set of ranks.
///
/// It holds all classes of the host and is cleared for the next policy at the cost of what this one
/// has touched.
#[derive(Default)]
pub(super) struct Matches {
    sets: Sets,
    of_class: Vec<u32>,
    touched: BTreeSet<usize>,
}

impl Matches {
    /// No rules, for so many classes.
    pub(super) fn new(classes: usize) -> Self {
        Self {
            sets: Sets::default(),
            of_class: vec![EMPTY; classes],
            touched: BTreeSet::new(),
        }
    }

    /// Notes that the rule of this rank matches these classes, given in ascending order.
    pub(super) fn add(&mut self, rank: usize, classes: &[u32]) {
        let mut last = None;
        for class in classes {
            let set = &mut self.of_class[*class as usize];
            *set = match last {
                Some((from, to)) if from == *set => to,
                _ => {
                    let to = self.sets.toggle(*set, rank as u32);
                    last = Some((*set, to));
                    to
                }
            };
        }
        for page in classes.chunk_by(|a, b| a / CLASS_PAGE == b / CLASS_PAGE) {
            self.touched.insert((page[0] / CLASS_PAGE) as usize);
        }
    }

    /// Number of pages.
    pub(super) fn pages(&self) -> usize {
        self.of_class.len().div_ceil(CLASS_PAGE as usize)
    }

    /// Calls `page` with the number of each page that some rule touches and the set of each of its
    /// classes, and forgets all rules.
    pub(super) fn drain<E>(
        &mut self,
        mut page: impl FnMut(usize, &Sets, &[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        for number in std::mem::take(&mut self.touched) {
            let from = number * CLASS_PAGE as usize;
            let to = self.of_class.len().min(from + CLASS_PAGE as usize);
            let sets = &mut self.of_class[from..to];
            page(number, &self.sets, sets)?;
            sets.fill(EMPTY);
        }
        self.sets = Sets::default();
        Ok(())
    }
}
