//! Waiting less for the kernel.
//!
//! Whoever attaches a program at TC, detaches one or replaces a policy image waits until every CPU has
//! been through a quiet moment (`synchronize_rcu`): 10 ms and more each time, with the lock of all
//! interfaces held, so that several at a time take no less. The kernel has a switch that makes it ask
//! the CPUs instead, for some ten microseconds; it is on while interfaces are attached or detached.
//!
//! The switch is the whole machine's. It takes any number for "on", so ours says who turned it on, and
//! whoever needs it holds a shared lock of it, which ends with its process: one that was killed is told
//! from one that works, wherever its pins are.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek, Write};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

/// The switch (`kernel/ksysfs.c`): the default is 0.
const SWITCH: &str = "/sys/kernel/rcu_expedited";
/// "On" as sg says it: the letters `sg`.
const OURS: &str = "29543";
/// "Off".
const OFF: &str = "0";

/// The switch is on until the last of these, of all processes, is dropped.
#[derive(Debug)]
pub(in crate::host) struct Haste(Option<Flock<File>>);

/// Has the kernel hurry, if it lets itself be told; everything works without, and takes longer. Where
/// somebody else has turned the switch on it stays so.
pub(in crate::host) fn hurry() -> Haste {
    Haste(turn_on(Path::new(SWITCH)).ok().flatten())
}

/// Ends the haste of processes that were killed.
pub(in crate::host) fn calm() {
    // Whatever fails costs power, and nothing else.
    let _ = turn_off_unused(Path::new(SWITCH));
}

impl Drop for Haste {
    fn drop(&mut self) {
        if let Some(switch) = &mut self.0
            && switch.relock(FlockArg::LockExclusiveNonblock).is_ok()
        {
            let _ = turn_off(switch);
        }
    }
}

fn open(switch: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(switch)
}

/// Turns the switch on; `None` when somebody else has.
fn turn_on(switch: &Path) -> io::Result<Option<Flock<File>>> {
    // Not waiting: whoever may read the file may lock it for as long as he likes.
    let lock = Flock::lock(open(switch)?, FlockArg::LockSharedNonblock);
    let mut switch = lock.map_err(|(_, errno)| errno)?;
    match value(&mut switch)?.as_str() {
        OURS => {}
        OFF => set(&mut *switch, OURS)?,
        _ => return Ok(None),
    }
    Ok(Some(switch))
}

/// Turns the switch off if one of ours turned it on that is no more.
fn turn_off_unused(switch: &Path) -> io::Result<()> {
    let lock = Flock::lock(open(switch)?, FlockArg::LockExclusiveNonblock);
    let mut switch = lock.map_err(|(_, errno)| errno)?;
    turn_off(&mut switch)
}

fn turn_off(switch: &mut File) -> io::Result<()> {
    if value(switch)? == OURS {
        set(switch, OFF)?;
    }
    Ok(())
}

fn value(switch: &mut File) -> io::Result<String> {
    let mut text = String::new();
    switch.rewind()?;
    switch.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// Sets the switch by one write: the kernel reads each as a number, and refuses a line end alone.
fn set(switch: &mut (impl Write + Seek), to: &str) -> io::Result<()> {
    switch.rewind()?;
    switch.write_all(format!("{to}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A switch that has a value, and what it is afterwards.
    fn after(before: &str, act: impl FnOnce(&Path)) -> String {
        let file = tempfile::NamedTempFile::new().expect("a directory for temporary files");
        // The kernel's forgets what it had; a file keeps what is longer than the new value.
        std::fs::write(file.path(), format!("{before}\n")).expect("it is ours");
        act(file.path());
        let text = std::fs::read_to_string(file.path()).expect("it is ours");
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// As `kstrtoint` reads what one write brings: a number, with one line end at most.
    struct KernelSwitch(u32);

    impl Write for KernelSwitch {
        fn write(&mut self, written: &[u8]) -> io::Result<usize> {
            let text = std::str::from_utf8(written).map_err(io::Error::other)?;
            let number = text.strip_suffix('\n').unwrap_or(text);
            self.0 = number.parse().map_err(io::Error::other)?;
            Ok(written.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for KernelSwitch {
        fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn the_kernel_takes_what_is_written() {
        let mut switch = KernelSwitch(0);
        set(&mut switch, OURS).expect("a number");
        assert_eq!(switch.0.to_string(), OURS);
        set(&mut switch, OFF).expect("a number");
        assert_eq!(switch.0, 0);
    }

    fn haste(switch: &Path) -> Haste {
        Haste(turn_on(switch).expect("it is there"))
    }

    fn shown(switch: &Path) -> String {
        value(&mut open(switch).expect("it is there")).expect("it is read")
    }

    #[test]
    fn nobody_waits_for_whoever_locks_the_switch() {
        after(OFF, |switch| {
            let lock = Flock::lock(open(switch).expect("it is there"), FlockArg::LockExclusive);
            let _held = lock.expect("nobody has it");
            assert!(turn_on(switch).is_err());
        });
    }

    #[test]
    fn the_last_of_several_turns_the_switch_off() {
        let value = after(OFF, |switch| {
            let (first, second) = (haste(switch), haste(switch));
            drop(first);
            assert_eq!(shown(switch).lines().next(), Some(OURS));
            turn_off_unused(switch).expect_err("it is in use");
            drop(second);
        });
        assert_eq!(value, OFF);
    }

    #[test]
    fn what_somebody_else_turned_on_stays_on() {
        let value = after("1", |switch| {
            drop(haste(switch));
            turn_off_unused(switch).expect("nobody uses it");
        });
        assert_eq!(value, "1");
    }

    #[test]
    fn a_process_that_was_killed_leaves_the_switch_to_the_next_one() {
        let value = after(OFF, |switch| {
            let mut killed = haste(switch);
            // Its descriptor is closed, and nothing else happens.
            drop(killed.0.take());
            assert_eq!(shown(switch).lines().next(), Some(OURS));
            turn_off_unused(switch).expect("nobody uses it");
        });
        assert_eq!(value, OFF);
    }
}
