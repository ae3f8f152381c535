//! Many interfaces: what one more takes, all after a reboot, and the kernel's memory.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use serde::Serialize;
use sg_ctl::host::{BATCH, Coming, Host, dataplane::Dataplane, paths::Paths, state::Overrides};

use super::{milliseconds, timed};
use crate::{
    bench::report::median, eventually_within, foreign::ForeignTc, netns::Namespace,
    prog::shared::counter_memory, sg_ctl::SgCtl,
};

/// What interfaces take; milliseconds of whole commands.
#[derive(Clone, Debug, Serialize)]
pub struct InterfacesRow {
    /// Interfaces that are attached.
    pub interfaces: u32,
    /// `sg-ctl attach` of one more when one is attached and there is no third, the median.
    pub second: f64,
    /// The same when all are.
    pub more: f64,
    /// `sg-ctl restore` of all, when nothing of them is in the kernel.
    pub restore: f64,
    /// Baseline of that: an empty program, loaded once, at both hooks of all, one after the other.
    pub empty: f64,
    /// KiB of kernel memory that a further interface takes beside its counters: what the whole
    /// machine's slabs, per-CPU memory and kernel mappings have grown by.
    pub memory: f64,
}

/// How long the kernel may take to take programs away.
const SETTLING: Duration = Duration::from_mins(2);

/// Rules that interfaces carry.
const RULES: &str = "security_groups:\n  web:\n    inbound:\n      - { protocol: tcp, ports: 443, source: 0.0.0.0/0 }\n";

/// Attaches so many interfaces.
pub(super) fn measure(count: u32, rounds: u32) -> Result<InterfacesRow> {
    let host = Namespace::new("many");
    let link = |number| format!("link add v{number} type veth peer name p{number}\n");
    // One for the first attach, and one that comes and goes.
    host.ip(&[0, count].map(link).concat());
    let sg = SgCtl::new(&host);
    let rules = sg.whole_rule_file("rules.yaml", RULES);
    sg.ok(&["attach", "v0", "-g", "web", "-f", &rules]);
    let another = format!("v{count}");
    let second = one_more(&sg, &another, rounds)?;
    host.ip(&(1..count).map(link).collect::<String>());
    let memory = attach_others(&sg, count)?;
    let more = one_more(&sg, &another, rounds)?;
    // As a reboot does; but there the kernel is not still busy with taking all of it away.
    fs::remove_dir_all(sg.pin_version())?;
    settle(&host, count);
    let (restore, _) = timed(&sg, &["restore"])?;
    let attached = host.enter(|| Dataplane::open(sg.pins())?.attachments())?;
    let whole = attached.iter().filter(|each| each.is_complete()).count();
    ensure!(whole == count as usize, "{whole} of {count} are guarded");
    let bare = Namespace::new("bare");
    bare.ip(&(0..count).map(link).collect::<String>());
    let empty = empty(&bare, count);
    Ok(InterfacesRow {
        interfaces: count,
        second,
        more,
        restore,
        empty,
        memory,
    })
}

/// Waits until the kernel has taken programs of ours away from all interfaces.
fn settle(host: &Namespace, count: u32) {
    let is_bare = |number: u32| {
        [TcAttachType::Ingress, TcAttachType::Egress]
            .into_iter()
            // Where there is no TCX nothing is waited for.
            .filter_map(|hook| SchedClassifier::query_tcx(&format!("v{number}"), hook).ok())
            .all(|(_, programs)| programs.is_empty())
    };
    host.enter(|| {
        eventually_within("interfaces without programs", SETTLING, || {
            (0..count).all(is_bare).then_some(())
        });
    });
}

/// Milliseconds for an empty program at all hooks.
fn empty(host: &Namespace, count: u32) -> f64 {
    let mut program = ForeignTc::load();
    let started = Instant::now();
    host.enter(|| {
        for number in 0..count {
            for hook in [TcAttachType::Egress, TcAttachType::Ingress] {
                program.attach_here(&format!("v{number}"), hook);
            }
        }
    });
    milliseconds(started)
}

/// Attaches an interface beside those that are, and detaches it again; the median time of the former.
fn one_more(sg: &SgCtl<'_>, name: &str, rounds: u32) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        times.push(timed(sg, &["attach", name, "-g", "web"])?.0);
        sg.ok(&["detach", name]);
    }
    Ok(median(&times))
}

/// Attaches all but the first; returns the KiB that one has taken.
fn attach_others(sg: &SgCtl<'_>, count: u32) -> Result<f64> {
    let before = memory(sg)?;
    let paths = Paths {
        state: sg.directory().join("state"),
        pins: sg.pins().to_owned(),
    };
    let coming = |number| Coming {
        interface: format!("v{number}"),
        overrides: Overrides {
            groups: Some(vec!["web".to_owned()]),
            ..Overrides::default()
        },
        by_pattern: false,
    };
    let all: Vec<_> = (1..count).map(coming).collect();
    sg.enter(|| -> Result<()> {
        let mut host = Host::open(&paths)?;
        for batch in all.chunks(BATCH) {
            for attached in host.attach_all(batch.to_vec()) {
                attached?;
            }
        }
        Ok(())
    })?;
    let grown = i32::try_from(memory(sg)? - before)?;
    Ok(f64::from(grown) / f64::from(count - 1).max(1.0))
}

/// KiB of kernel memory in use, but for counters.
fn memory(sg: &SgCtl<'_>) -> Result<i64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let mut kibibytes = 0;
    for name in ["Slab:", "Percpu:", "VmallocUsed:"] {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.split_whitespace().next());
        kibibytes += value.context("the kernel tells")?.parse::<i64>()?;
    }
    let dataplane = Dataplane::open(sg.pins())?;
    let rules = dataplane.rule_counters()?.map_or(0, |rules| rules.bytes);
    let counters = counter_memory(dataplane.pins()) + rules;
    Ok(kibibytes - i64::try_from(counters >> 10)?)
}
