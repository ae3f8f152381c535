//! Sets of numbers that differ from each other in few: equal ones are one, and known by its number.

use std::collections::HashMap;
use std::rc::Rc;

use foldhash::fast::RandomState;

/// The number of the empty set.
pub(super) const EMPTY: u32 = 0;

/// No number has come or gone: there is none like this one.
const NOTHING_YET: (u32, u32) = (u32::MAX, EMPTY);

/// Sets of numbers, each kept once.
pub(super) struct Sets {
    /// The members of each set, ascending.
    members: Vec<Rc<[u32]>>,
    numbers: HashMap<Rc<[u32]>, u32>,
    /// Of each set, what came or went the last time, and which set it became.
    latest: Vec<(u32, u32)>,
    /// Which set becomes which when a number comes or goes: the same ones do so again and again.
    toggles: HashMap<(u32, u32), u32, RandomState>,
}

impl Default for Sets {
    fn default() -> Self {
        let empty: Rc<[u32]> = Rc::default();
        Self {
            members: vec![Rc::clone(&empty)],
            latest: vec![NOTHING_YET],
            numbers: HashMap::from([(empty, EMPTY)]),
            toggles: HashMap::default(),
        }
    }
}

impl Sets {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The members of a set, ascending.
    pub(super) fn members(&self, set: u32) -> &[u32] {
        &self.members[set as usize]
    }

    /// The set that has `number` if `set` has not, and the reverse, and else what `set` has.
    pub(super) fn toggle(&mut self, set: u32, number: u32) -> u32 {
        if let (latest, known) = self.latest[set as usize]
            && latest == number
        {
            return known;
        }
        let toggled = self.toggle_anew(set, number);
        self.latest[set as usize] = (number, toggled);
        toggled
    }

    fn toggle_anew(&mut self, set: u32, number: u32) -> u32 {
        if let Some(known) = self.toggles.get(&(set, number)) {
            return *known;
        }
        let mut members = self.members(set).to_vec();
        match members.binary_search(&number) {
            Ok(at) => drop(members.remove(at)),
            Err(at) => members.insert(at, number),
        }
        let members: Rc<[u32]> = members.into();
        let next = self.members.len() as u32;
        let toggled = *self.numbers.entry(Rc::clone(&members)).or_insert(next);
        if toggled == next {
            self.members.push(members);
            self.latest.push(NOTHING_YET);
        }
        self.toggles.insert((set, number), toggled);
        self.toggles.insert((toggled, number), set);
        toggled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_have_one_number_however_they_came_about() {
        let mut sets = Sets::default();
        let one = sets.toggle(EMPTY, 1);
        let both = sets.toggle(one, 2);
        let two = sets.toggle(EMPTY, 2);
        assert_eq!(sets.toggle(two, 1), both);
        assert_eq!(sets.toggle(both, 1), two);
        assert_eq!(sets.toggle(one, 1), EMPTY);
        assert_eq!(sets.members(both), [1, 2]);
        assert_eq!(sets.len(), 4);
    }
}
