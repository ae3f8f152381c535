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
use crate::{machine::Machine, privilege::find_program};

/// The emulator, and the package that has it.
pub(super) const fn qemu(machine: Machine) -> (&'static str, &'static str) {
    match machine {
        Machine::X86 => ("qemu-system-x86_64", "qemu-system-x86"),
        Machine::Arm64 => ("qemu-system-aarch64", "qemu-system-arm"),
    }
}

/// The longest that a guest may take whose processors are another machine's: always emulated.
const FOREIGN_TIME_LIMIT: Duration = Duration::from_mins(90);

/// The longest that a guest may take, hung or not: several times what an emulated one does on an idle machine.
const TIME_LIMIT: Duration = Duration::from_mins(30);

/// An x86 processor without the features that emulation makes slow: it moves strings byte by byte, where
/// the kernel believes that `rep` is fast, and looks at each access of user memory twice.
const PROCESSOR: &str = "max,erms=off,fsrm=off,smap=off";

/// The kernel's word to do without `rep` (`X86_FEATURE_REP_GOOD`, the same number in every kernel): half
/// of a guest's time went there when it cleared pages and copied the verifier's states.
const WITHOUT_REP: &str = "clearcpuid=112";

/// Modules that are not part of Debian's kernel images, of whichever flavour.
pub(super) const MODULES: [&str; 6] = [
    "veth",
    "sch_ingress",
    "cls_bpf",
    "wireguard",
    "ip_gre",
    "sit",
];

/// What runs in every guest.
pub(super) struct Payload {
    /// What it is built for.
    pub(super) machine: Machine,
    /// The directory of its libraries, for programs that are not this machine's.
    pub(super) libraries: Option<PathBuf>,
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
    let transcript = boot(payload.machine, &kernel.image, &initramfs, &log)?;
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
    let modules = [&MODULES[..], kernel.flavour.modules()].concat();
    for module in Modules::list(&kernel.modules)?.resolve(&modules)? {
        let path = format!("/modules/{}.ko", module.name);
        initramfs.file(Path::new(&path), &module.content);
        writeln!(plan, "module {path}")?;
    }
    for (name, command_line) in &payload.runs {
        writeln!(plan, "run {name} {command_line}")?;
    }
    initramfs.file(Path::new("/plan"), plan.as_bytes());
    let mut add = |path: &Path, program| match payload.libraries {
        Some(_) => initramfs.foreign_program(path, program),
        None => initramfs.program(path, program),
    };
    add(Path::new("/init"), &payload.init)?;
    for (name, program) in &payload.programs {
        add(&Path::new("/bin").join(name), program)?;
    }
    if let Some(directory) = &payload.libraries {
        initramfs.libraries(directory)?;
    }
    Ok(initramfs.finish())
}

/// Boots a guest, writes what it says to a log and waits for its end.
fn boot(machine: Machine, kernel: &Path, initramfs: &Path, log: &Path) -> Result<Transcript> {
    let qemu = find_program(qemu(machine).0).context("QEMU has vanished")?;
    let (console, time_limit) = match machine {
        Machine::X86 => ("ttyS0", TIME_LIMIT),
        Machine::Arm64 => ("ttyAMA0", FOREIGN_TIME_LIMIT),
    };
    let accelerator = accelerator();
    let hardware: &[&str] = match machine {
        Machine::X86 => &[
            "-accel",
            accelerator,
            "-cpu",
            PROCESSOR,
            "-m",
            "1536",
            "-smp",
            if accelerator == KVM { "2" } else { "1" },
        ],
        // Four processors that run at the same time, each by a thread: as weakly ordered as QEMU gets.
        Machine::Arm64 => &[
            "-machine",
            "virt",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max,pauth-impdef=on",
            "-m",
            "2048",
            "-smp",
            "4",
        ],
    };
    // `timeout` also ends a guest whose xtask was killed; in the foreground Ctrl-C ends both.
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "--kill-after=5"])
        .arg(time_limit.as_secs().to_string())
        .arg(qemu)
        .args(hardware)
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio"])
        .arg("-append")
        .arg(format!(
            "console={console} quiet panic=-1 mitigations=off {WITHOUT_REP}"
        ))
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

/// Processors that are virtual, not emulated.
const KVM: &str = "kvm";
/// Emulated ones. Of two, one may run into the breakpoint that the kernel puts where the other rewrites
/// code, and find it gone when it asks, which is a panic. So a guest has one.
const EMULATED: &str = "tcg";

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
        KVM
    } else {
        EMULATED
    }
}
