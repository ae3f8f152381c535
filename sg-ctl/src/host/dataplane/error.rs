//! What can go wrong between user space and the kernel, and what to do about it.

use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// An error of the [`dataplane`](super). Unless its text says otherwise nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// The process lacks capabilities.
    #[error("not permitted: this needs {}", .missing.join(", "))]
    NotPermitted {
        /// Names of the capabilities that are missing.
        missing: Vec<&'static str>,
    },
    /// The kernel lacks features that the programs need.
    #[error("Linux {running} is too old: the programs need {needed} or later")]
    KernelTooOld {
        /// Version of the running kernel.
        running: String,
        /// The oldest version that will do.
        needed: &'static str,
    },
    /// The kernel is one with `PREEMPT_RT`.
    #[error("the programs do not support real-time kernels (PREEMPT_RT)")]
    RealTimeKernel,
    /// Pins cannot live at the path.
    #[error("{} is not on a BPF file system", .path.display())]
    NoBpfFs {
        /// The directory for pins.
        path: PathBuf,
    },
    /// The BPF file system of the machine is out of reach, for this mount namespace has its own
    /// `/sys`: pins made here would vanish with the process, and the links with them.
    #[error("{} is not the machine's BPF file system: this mount namespace has a /sys of its own", .path.display())]
    PrivateMounts {
        /// The directory for pins.
        path: PathBuf,
    },
    /// A file or directory operation on pins failed.
    #[error("cannot {action} {}", .path.display())]
    Pin {
        /// What was tried.
        action: &'static str,
        /// The pin, or a directory of pins.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A pinned map is not what the programs expect.
    #[error("pinned map {} has {field} {found}, the programs need {expected}", .path.display())]
    PinnedMapIncompatible {
        /// The pin.
        path: PathBuf,
        /// The property that differs.
        field: &'static str,
        /// What the programs need.
        expected: u32,
        /// What the kernel says.
        found: u32,
    },
    /// The object with the programs cannot be read or its maps cannot be made.
    #[error("cannot load the kernel programs")]
    Object(#[source] Box<EbpfError>),
    /// The flow table would not fit the memory.
    #[error(
        "a flow table for {flows} flows takes {mib} MiB of kernel memory, and {available} MiB are \
         available"
    )]
    FlowTableTooLarge {
        /// Flows that it would have room for.
        flows: u32,
        /// Its size in MiB.
        mib: u64,
        /// Available memory in MiB.
        available: u64,
    },
    /// The object lacks a program.
    #[error("the kernel programs lack {program}")]
    ProgramMissing {
        /// Name of the program.
        program: &'static str,
    },
    /// The kernel's verifier refuses a program.
    #[error("the kernel refuses program {program}: {verdict}")]
    ProgramRejected {
        /// Name of the program.
        program: &'static str,
        /// The last line of the verifier's log with any content.
        verdict: String,
        /// Where the verifier's whole log is, if it could be written.
        log: Option<PathBuf>,
        /// The cause.
        source: io::Error,
    },
    /// A gate cannot be loaded.
    #[error("cannot load the gate of zone {zone}")]
    Gate {
        /// The zone.
        zone: u32,
        /// The cause.
        source: io::Error,
    },
    /// The array of programs cannot be read or written.
    #[error("cannot {action} the place of program {program}")]
    ProgramArray {
        /// What was tried.
        action: &'static str,
        /// Name of the program.
        program: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A program cannot be run on a frame.
    #[error("cannot run program {program}")]
    Run {
        /// Name of the program.
        program: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// Another operation on a program failed.
    #[error("cannot {action} program {program}")]
    Program {
        /// What was tried.
        action: &'static str,
        /// Name of the program.
        program: &'static str,
        /// The cause.
        source: Box<ProgramError>,
    },
    /// A program returned what is no verdict.
    #[error("program {program} returned {code}, which is no verdict")]
    UnknownVerdict {
        /// Name of the program.
        program: &'static str,
        /// What it returned.
        code: u32,
    },
    /// An operation on a map failed.
    #[error("cannot {action} map {map}")]
    Map {
        /// What was tried.
        action: &'static str,
        /// Name of the map.
        map: &'static str,
        /// The cause.
        source: Box<MapError>,
    },
    /// A system call failed for which aya has no function.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// There are no maps: nothing is attached.
    #[error("nothing is attached: {} does not exist", .path.display())]
    NothingLoaded {
        /// Where the pins would be.
        path: PathBuf,
    },
    /// Programs are attached whose pins, by which sg-ctl reaches their maps, have been removed.
    #[error(
        "programs are attached, but pins of their maps below {} are gone: their verdicts go on and \
         nobody can change them", .path.display()
    )]
    MapsLost {
        /// The directory of pins.
        path: PathBuf,
    },
    /// The interface went away while it was attached.
    #[error("{name} went away, or another took its place, while it was attached")]
    Vanished {
        /// Name of the interface.
        name: String,
    },
    /// There is no such interface.
    #[error("there is no interface `{name}`")]
    NoInterface {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        existing: Vec<String>,
    },
    /// The interface's packets begin neither with an Ethernet header nor with an IP header.
    #[error("packets of {name} begin neither with an Ethernet header nor with an IP header")]
    UnknownLink {
        /// Name of the interface.
        name: String,
    },
    /// The interface has no XDP.
    #[error("packets of {name} have no Ethernet header, without which there is no XDP")]
    NoXdp {
        /// Name of the interface.
        name: String,
    },
    /// The interface is a loopback, which nothing but the host itself can reach.
    #[error("{name} is a loopback interface")]
    Loopback {
        /// Name of the interface.
        name: String,
    },
    /// The interface has programs of ours already.
    #[error("{name} is attached already")]
    AlreadyAttached {
        /// Name of the interface.
        name: String,
    },
    /// Somebody else's XDP program is attached.
    #[error("{name} has an XDP program already: {}", program_name(*.id, .program.as_ref()))]
    ForeignXdp {
        /// Name of the interface.
        name: String,
        /// Id of the program.
        id: u32,
        /// Name of the program, if the kernel tells.
        program: Option<String>,
    },
    /// The kernel or the driver refuses to attach.
    #[error("cannot attach to {name} at hook {hook}")]
    Attach {
        /// Name of the interface.
        name: String,
        /// Name of the hook.
        hook: &'static str,
        /// The cause.
        source: Box<ProgramError>,
    },
    /// The kernel attached without a link that could be pinned.
    #[error("{name} was attached at hook {hook} without a link, and stays so")]
    NoLink {
        /// Name of the interface.
        name: String,
        /// Name of the hook.
        hook: &'static str,
    },
    /// The pins belong to interfaces of another network namespace.
    #[error("the pins in {} belong to another network namespace", .path.display())]
    OtherNamespace {
        /// The directory of pins.
        path: PathBuf,
    },
    /// Another process reads the events.
    #[error("another process reads the log already")]
    EventsTaken,
    /// The messages of a program cannot be read.
    #[error("cannot read the messages of program {program}")]
    Messages {
        /// Id of the program.
        program: u32,
        /// The cause.
        source: Box<aya_log::Error>,
    },
    /// A policy image contradicts itself.
    #[error("not a policy image: {field} is {found:#x}, not {expected:#x}")]
    ImageInvalid {
        /// The header word, or the property.
        field: &'static str,
        /// What it should be.
        expected: u32,
        /// What it is.
        found: u32,
    },
    /// A policy image does not fit into the largest size class.
    #[error("the policy takes {words} words of memory, {limit} is the limit")]
    ImageTooLarge {
        /// Words of the image.
        words: usize,
        /// Words of the largest size class.
        limit: usize,
    },
}

impl DataplaneError {
    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::NotPermitted { .. } => "run it as root, for example with sudo".to_owned(),
            Self::NoBpfFs { .. } => {
                "put SG_PIN_DIR below /sys/fs/bpf, or mount one: mount -t bpf bpf DIRECTORY"
                    .to_owned()
            }
            Self::PrivateMounts { .. } => {
                "`ip netns exec` hides /sys/fs/bpf; enter only the network namespace: \
                 nsenter --net=/run/netns/NAME sg-ctl …"
                    .to_owned()
            }
            Self::PinnedMapIncompatible { .. } => {
                "another version of sg-ctl made it: detach with that version, or `sg-ctl detach \
                 --all`, then attach again"
                    .to_owned()
            }
            Self::ProgramRejected { log: Some(log), .. } => {
                format!("the verifier's log is in {}", log.display())
            }
            Self::NothingLoaded { .. } => "attach an interface: sg-ctl attach IFACE".to_owned(),
            Self::MapsLost { .. } => {
                "`sg-ctl restore` attaches everything anew; `sg-ctl detach --all` lets every packet \
                 pass"
                    .to_owned()
            }
            Self::Vanished { .. } => "attach it again when it is there".to_owned(),
            Self::NoInterface { name, existing } => near(name, existing),
            Self::UnknownLink { .. } => "attach to the interface that carries its traffic".to_owned(),
            Self::NoXdp { .. } => "use --hook auto or --hook tc".to_owned(),
            Self::AlreadyAttached { name } => {
                format!("`sg-ctl apply` changes its policy; to attach anew: sg-ctl detach {name}")
            }
            Self::ForeignXdp { name, .. } => format!(
                "use --hook auto or --hook tc, or remove it: ip link set dev {name} xdp off"
            ),
            Self::Attach { hook, .. } if hook.starts_with("xdp") => {
                "use --hook auto, tc or xdp-generic".to_owned()
            }
            Self::NoLink { name, .. } => {
                format!("remove the program: ip link set dev {name} xdp off")
            }
            Self::OtherNamespace { .. } => {
                "give each network namespace its own SG_PIN_DIR and SG_STATE_DIR".to_owned()
            }
            Self::EventsTaken => {
                "stop the other `sg-ctl logs`, or run `sg-ctl agent`, which serves any number of \
                 readers"
                    .to_owned()
            }
            Self::FlowTableTooLarge { .. } => {
                "lower `limits: {flow_table_size: …}` in the rule file".to_owned()
            }
            Self::ImageTooLarge { .. } => {
                "use prefix lists with fewer and larger ranges, or fewer groups".to_owned()
            }
            _ => return None,
        };
        Some(help)
    }

    /// Whether the request is at fault and not the system (exit code 1, not 2).
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NotPermitted { .. }
                | Self::KernelTooOld { .. }
                | Self::RealTimeKernel
                | Self::NoBpfFs { .. }
                | Self::PrivateMounts { .. }
                | Self::NothingLoaded { .. }
                | Self::Vanished { .. }
                | Self::NoInterface { .. }
                | Self::UnknownLink { .. }
                | Self::NoXdp { .. }
                | Self::Loopback { .. }
                | Self::AlreadyAttached { .. }
                | Self::ForeignXdp { .. }
                | Self::OtherNamespace { .. }
                | Self::EventsTaken
                | Self::ImageTooLarge { .. }
                | Self::FlowTableTooLarge { .. }
        )
    }
}

fn program_name(id: u32, name: Option<&String>) -> String {
    match name {
        Some(name) => format!("`{name}` (program {id})"),
        None => format!("program {id}"),
    }
}

/// Suggests the existing name most like `name`, or lists them.
fn near(name: &str, existing: &[String]) -> String {
    let nearest = existing
        .iter()
        .map(|each| (strsim::damerau_levenshtein(name, each), each))
        .min();
    match nearest {
        Some((distance, nearest)) if distance <= 2 => format!("did you mean `{nearest}`?"),
        _ => format!("the interfaces here are {}", existing.join(", ")),
    }
}
