//! The first process of a guest of `cargo xtask vmtest`: loads modules, runs what the plan says,
//! powers off.
//!
//! The plan, `/plan`, has lines of words:
//!
//! ```text
//! module FILE
//! run NAME PROGRAM ARGUMENT…
//! ```
//!
//! What programs write goes to the console, between `TEST NAME begins` and `TEST NAME OK` or
//! `TEST NAME FAIL`, with the seconds it took. All programs are in `/bin`.

use std::{convert::Infallible, fs, io::Write as _, path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, bail};
use nix::{
    kmod::init_module,
    mount::{MsFlags, mount},
    sys::reboot::{RebootMode, reboot},
    unistd::{getpid, sync},
};

const PLAN: &str = "/plan";

/// File systems: type and place.
const MOUNTS: [(&str, &str); 7] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("bpf", "/sys/fs/bpf"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
];

fn main() {
    // It would power off the machine of whoever tries it.
    if getpid().as_raw() != 1 {
        eprintln!("error: not the first process of a virtual machine");
        std::process::exit(1);
    }
    if let Err(error) = run() {
        println!("TEST init FAIL: {error:#}");
    }
    power_off();
}

fn run() -> Result<()> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place).with_context(|| format!("cannot create {place}"))?;
        mount(
            Some(kind),
            place,
            Some(kind),
            MsFlags::empty(),
            None::<&str>,
        )
        .with_context(|| format!("cannot mount {kind} at {place}"))?;
    }
    let version = fs::read_to_string("/proc/version").context("cannot read /proc/version")?;
    println!("TEST kernel {}", version.trim());
    let plan = fs::read_to_string(PLAN).with_context(|| format!("cannot read {PLAN}"))?;
    for line in plan.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["module", file] => load_module(Path::new(file))?,
            ["run", name, program, ref arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).env("PATH", "/bin");
                // Emulation takes ten times as long, and more.
                command.env("SG_CTL", "/bin/sg-ctl").env("SG_SHORT", "1");
                run_program(name, &mut command);
            }
            _ => bail!("not in a plan: {line}"),
        }
    }
    Ok(())
}

fn load_module(file: &Path) -> Result<()> {
    let module = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    init_module(&module, c"").with_context(|| format!("cannot load module {}", file.display()))
}

fn run_program(name: &str, command: &mut Command) {
    println!("TEST {name} begins");
    let started = Instant::now();
    let status = command.status();
    let seconds = started.elapsed().as_secs_f32();
    match status {
        Ok(status) if status.success() => println!("TEST {name} OK {seconds:.1}"),
        Ok(status) => println!("TEST {name} FAIL {seconds:.1} ({status})"),
        Err(error) => println!("TEST {name} FAIL {seconds:.1} (cannot run it: {error})"),
    }
}

fn power_off() -> Infallible {
    // What the console has not taken yet would be lost.
    let _ = std::io::stdout().flush();
    sync();
    match reboot(RebootMode::RB_POWER_OFF) {
        Ok(never) => never,
        // The kernel panics when its first process ends, which ends the machine too.
        Err(error) => panic!("cannot power off: {error}"),
    }
}
