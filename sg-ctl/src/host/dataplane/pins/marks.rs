//! Marks among the pins, symbolic links to words: whose the programs are, and which gates a zone has.

use std::path::PathBuf;

use super::{PinDir, pin_error, remove_pin};
use crate::host::dataplane::error::DataplaneError;
use crate::host::dataplane::gate::Entry;

impl PinDir {
    /// Tells whose a program is: a symbolic link to its [`BUILD`](super::super::BUILD).
    fn build(&self, entry: Entry) -> PathBuf {
        self.path.join("programs").join(entry.name())
    }

    /// Notes whose a program is, `None` while it changes.
    pub(in super::super) fn set_build(
        &self,
        entry: Entry,
        build: Option<&str>,
    ) -> Result<(), DataplaneError> {
        let mark = self.build(entry);
        remove_pin(&mark)?;
        match build {
            None => Ok(()),
            Some(build) => std::os::unix::fs::symlink(build, &mark)
                .map_err(|source| pin_error("create", &mark, source)),
        }
    }

    /// Whose programs the gates of a zone lead to, `None` when that is not known, or more than one's.
    pub(in super::super) fn build_of(&self, zone: u32) -> Option<String> {
        // Up to layout 6 each zone had programs of its own.
        if let Ok(build) = std::fs::read_link(self.zone(zone).join("build")) {
            return Some(build.to_string_lossy().into_owned());
        }
        let gates = self.gates_of(zone)?;
        let mut builds = gates.iter().map(|(entry, _)| {
            let build = std::fs::read_link(self.build(*entry)).ok()?;
            Some(build.to_string_lossy().into_owned())
        });
        let first = builds.next()??;
        builds
            .all(|build| build.as_ref() == Some(&first))
            .then_some(first)
    }

    /// Tells the gates of a zone: a symbolic link to `PROGRAM:ID,PROGRAM:ID`.
    fn gates(&self, zone: u32) -> PathBuf {
        self.zone(zone).join("programs")
    }

    /// The programs that the gates of a zone lead to, each with the id of the gate; `None` when that
    /// is not known.
    pub(in super::super) fn gates_of(&self, zone: u32) -> Option<Vec<(Entry, u32)>> {
        let mark = std::fs::read_link(self.gates(zone)).ok()?;
        let gate = |text: &str| {
            let (name, id) = text.split_once(':')?;
            Some((Entry::named(name)?, id.parse().ok()?))
        };
        mark.to_str()?.split(',').map(gate).collect()
    }

    /// Forgets the gates of a zone, which are about to be replaced.
    pub(in super::super) fn forget_gates(&self, zone: u32) -> Result<(), DataplaneError> {
        remove_pin(&self.gates(zone))
    }

    /// Notes the gates that a zone has been given.
    pub(in super::super) fn set_gates(
        &self,
        zone: u32,
        gates: &[(Entry, u32)],
    ) -> Result<(), DataplaneError> {
        self.forget_gates(zone)?;
        let mark = self.gates(zone);
        let gates: Vec<_> = gates
            .iter()
            .map(|(entry, id)| format!("{}:{id}", entry.name()))
            .collect();
        std::os::unix::fs::symlink(gates.join(","), &mark)
            .map_err(|source| pin_error("create", &mark, source))
    }
}
