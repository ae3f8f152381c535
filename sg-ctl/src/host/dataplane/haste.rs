//! Waiting less for the kernel.
//!
//! Whoever attaches a program at TC, detaches one or replaces a policy image waits until every CPU has
//! been through a quiet moment (`synchronize_rcu`): 10 ms and more each time, with the lock of all
//! interfaces held, so that several at a time take no less. The kernel has a switch that makes it ask
//! the CPUs instead, for some ten microseconds; it is on while interfaces are attached or detached.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::Dataplane;
use super::pins::remove_pin;

/// The switch (`kernel/ksysfs.c`): the default is 0.
const SWITCH: &str = "/sys/kernel/rcu_expedited";

/// The switch is on until this is dropped.
///
/// A mark among the pins tells of a process that was killed before it could turn it off: the next one
/// does. Mark and switch both end with the next boot.
#[derive(Debug)]
pub struct Haste {
    mark: Option<PathBuf>,
}

impl Dataplane {
    /// Has the kernel hurry, if it lets itself be told; everything works without, and takes longer.
    pub fn hurry(&self) -> Haste {
        let mark = self.pins.haste();
        if !mark.is_symlink() {
            let is_off = fs::read_to_string(SWITCH).is_ok_and(|text| text.trim() == "0");
            // Where somebody else has turned it on it stays so.
            if !is_off || symlink("on", &mark).is_err() {
                return Haste { mark: None };
            }
        }
        let mark = fs::write(SWITCH, "1").is_ok().then_some(mark);
        Haste { mark }
    }
}

impl Dataplane {
    /// Ends the haste of a process that was killed.
    pub fn calm(&self) {
        if self.pins.haste().is_symlink() {
            drop(self.hurry());
        }
    }
}

impl Drop for Haste {
    fn drop(&mut self) {
        if let Some(mark) = &self.mark {
            // Whatever fails here costs time or power, and nothing else.
            let _ = fs::write(SWITCH, "0");
            let _ = remove_pin(mark);
        }
    }
}
