//! One run of a guest: what goes in, QEMU, what comes out.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    initramfs::Initramfs,
    kernel::{Kernel, Series},
    modules::Modules,
};
use crate::privilege::find_program;

/// The emulator, and the package that has it.
pub(super) const QEMU: (&str, &str) = ("qemu-system-x86_64", "qemu-system-x86");

/// The longest that a guest may take, hung or not: ten times what it does on an idle machine.
const TIME_LIMIT: Duration = Duration::from_mins(20);

/// Modules that are not part of Debian's kernel images.
const MODULES: [&str; 3] = ["veth", "sch_ingress", "cls_bpf"];

/// What runs in every guest.
pub(super) struct Payload {
    /// The first process.
    pub(super) init: PathBuf,
    /// Further programs, and their names in `/bin`.
    pub(super) programs: Vec<(&'static str, PathBuf)>,
    /// What to run in turn: a name, and the command line.
    pub(super) runs: Vec<(&'static str, String)>,
}

/// What a guest wrote, and how long it ran.
pub(super) struct Transcript {
    /// Lines of the console.
    pub(super) lines: Vec<String>,
    /// From the start of QEMU to its end.
    pub(super) time: Duration,
    /// How QEMU failed, if it did.
    pub(super) fault: Option<String>,
}

/// Runs the payload on a kernel; files of the run are left in `directory`.
///
/// # Errors
/// When the kernel lacks a module, or QEMU cannot be run.
pub(super) fn run(kernel: &Kernel, payload: &Payload, directory: &Path) -> Result<Transcript> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let initramfs = directory.join(format!("{}.cpio", kernel.series));
    let content = pack(kernel, payload)?;
    fs::write(&initramfs, content)
        .with_context(|| format!("cannot write {}", initramfs.display()))?;
    let log = log(directory, kernel.series);
    let transcript = boot(&kernel.image, &initramfs, &log)?;
    fs::remove_file(&initramfs)
        .with_context(|| format!("cannot remove {}", initramfs.display()))?;
    Ok(transcript)
}

/// Returns the file to which all goes that a guest says.
pub(super) fn log(directory: &Path, series: Series) -> PathBuf {
    directory.join(format!("{series}.log"))
}

/// Makes the initial file system.
fn pack(kernel: &Kernel, payload: &Payload) -> Result<Vec<u8>> {
    let mut initramfs = Initramfs::default();
    let mut plan = String::new();
    for module in Modules::list(&kernel.modules)?.resolve(&MODULES)? {
        let path = format!("/modules/{}.ko", module.name);
        initramfs.file(Path::new(&path), &module.content);
        writeln!(plan, "module {path}")?;
    }
    for (name, command_line) in &payload.runs {
        writeln!(plan, "run {name} {command_line}")?;
    }
    initramfs.file(Path::new("/plan"), plan.as_bytes());
    initramfs.program(Path::new("/init"), &payload.init)?;
    for (name, program) in &payload.programs {
        initramfs.program(&Path::new("/bin").join(name), program)?;
    }
    Ok(initramfs.finish())
}

/// Boots a guest, writes what it says to a log and waits for its end.
fn boot(kernel: &Path, initramfs: &Path, log: &Path) -> Result<Transcript> {
    let qemu = find_program(QEMU.0).context("QEMU has vanished")?;
    // `timeout` also ends a guest whose xtask was killed; in the foreground Ctrl-C ends both.
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "--kill-after=5"])
        .arg(TIME_LIMIT.as_secs().to_string())
        .arg(qemu)
        .args(["-accel", accelerator(), "-cpu", "max"])
        .args(["-m", "1536", "-smp", "2"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio"])
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().context("cannot run `timeout`")?;
    let stdout = child.stdout.take().context("QEMU has no output")?;
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut lines = Vec::new();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read from QEMU")?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        writeln!(file, "{line}").with_context(|| format!("cannot write {}", log.display()))?;
        lines.push(line);
    }
    let status = child.wait().context("cannot wait for QEMU")?;
    let time = started.elapsed();
    let fault = match status.code() {
        Some(0) => None,
        // Of `timeout`.
        Some(124) => Some(format!("hung, ended after {} s", time.as_secs())),
        _ => Some(format!("QEMU failed ({status})")),
    };
    Ok(Transcript { lines, time, fault })
}

/// KVM where the processor has it: not every `/dev/kvm` can run a full machine.
fn accelerator() -> &'static str {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    let opens = || {
        File::options()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok()
    };
    if (has("svm") || has("vmx")) && opens() {
        "kvm"
    } else {
        "tcg,thread=multi"
    }
}
