//! Part c: how long changes of rules take to come into force, and what they and flows cost in memory.
//!
//! Times of a command are those of the whole process, from its start to its end: `sg-ctl apply` ends
//! when the rules are in force and stored.

mod flows;
mod hosts;
mod interfaces;
mod show;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use sg_common::image::SIZE_CLASSES;
use sg_ctl::host::dataplane::{Dataplane, ImageInfo};
use sg_policy::{
    compile::{RuleNumbers, compile},
    rulefile::{self, Source},
};

pub use flows::{FlowsRow, MemoryRow};
pub use hosts::Amount;
pub use interfaces::InterfacesRow;
pub(crate) use show::write;

use self::hosts::rules;
use super::{Options, report::median};
use crate::{
    netns::Namespace,
    sg_ctl::{Outcome, SgCtl},
};

/// What this part has found.
#[derive(Debug, Default, Serialize)]
pub struct Control {
    /// Rules and members.
    pub changes: Vec<ChangeRow>,
    /// Lists of flows.
    pub flows: Vec<FlowsRow>,
    /// Kernel memory.
    pub memory: Vec<MemoryRow>,
    /// Many interfaces.
    pub interfaces: Vec<InterfacesRow>,
}

/// How long rules take; milliseconds, median of all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeRow {
    /// How much there is.
    #[serde(flatten)]
    pub amount: Amount,
    /// From the text of a rule file to the checked model.
    pub read: f64,
    /// From the model to the image.
    pub compile: f64,
    /// `sg-ctl apply`, from file to enforced, when everything is new; none = not measured.
    pub apply: Option<f64>,
    /// The same when one member is another.
    pub change: Option<f64>,
    /// Bytes of the image.
    pub image: usize,
    /// Bytes of kernel memory that it takes.
    pub kernel: usize,
}

/// Measures everything.
///
/// # Errors
/// When a change does not come into force.
pub fn measure(options: &Options) -> Result<Control> {
    let scale = &options.scale.control;
    let host = Namespace::new("control");
    host.ip("link add eth0 type veth peer name far\nlink set eth0 up\nlink set far up\n");
    let sg = SgCtl::new(&host);
    let largest = scale.flows.iter().max().copied().unwrap_or(0).max(1024);
    let limits = format!("limits: {{ flow_table_size: {largest} }}\n");
    let nothing = sg.whole_rule_file("nothing.yaml", &limits);
    sg.ok(&["attach", "eth0", "-f", &nothing]);
    let mut control = Control::default();
    for amount in scale.amounts {
        options.progress(&format!("rules of {}", amount.name()));
        let row = change(&sg, *amount, &nothing, scale.rounds);
        control
            .changes
            .push(row.with_context(|| format!("rules of {}", amount.name()))?);
    }
    sg.ok(&["apply", "-f", &nothing]);
    for count in scale.flows {
        options.progress(&format!("a list of {count} flows"));
        control.flows.push(flows::list(&host, &sg, *count)?);
    }
    drop(sg);
    for count in scale.tables {
        options.progress(&format!("the memory of {count} flows"));
        control.memory.push(flows::memory(*count)?);
    }
    options.progress(&format!("{} interfaces", scale.interfaces));
    let row = interfaces::measure(scale.interfaces, scale.rounds);
    control
        .interfaces
        .push(row.with_context(|| format!("{} interfaces", scale.interfaces))?);
    Ok(control)
}

/// Puts rules in force, changes a member, and goes back to none.
fn change(sg: &SgCtl<'_>, amount: Amount, nothing: &str, rounds: u32) -> Result<ChangeRow> {
    let texts = [true, false].map(|complete| rules(amount, complete));
    let mut times: [Vec<f64>; 4] = Default::default();
    let [read, compiled, applied, changed] = &mut times;
    let mut image = None;
    for _ in 0..rounds {
        let source = Source {
            name: "rules.yaml".to_owned(),
            text: texts[0].clone(),
        };
        let started = Instant::now();
        let model = rulefile::read(&[source]).map(|parsed| parsed.model);
        read.push(milliseconds(started));
        let model = model.map_err(|report| anyhow::anyhow!("{report}"))?;
        let zones = amount.zones();
        let started = Instant::now();
        let result = compile(&model, &zones, &mut RuleNumbers::default(), 1)?;
        compiled.push(milliseconds(started));
        image = Some(ImageInfo::of_words(result.words())?);
    }
    if amount.policies == 1 {
        let [complete, less] = [(&texts[0], "complete.yaml"), (&texts[1], "less.yaml")]
            .map(|(text, name)| sg.whole_rule_file(name, text));
        for _ in 0..rounds {
            let empty = in_force(sg, &["apply", "-f", nothing])?.1;
            let (time, first) = in_force(sg, &["apply", "-f", &complete])?;
            applied.push(time);
            ensure!(first.checksum != empty.checksum, "no rule came into force");
            if amount.members > 0 {
                let (time, other) = in_force(sg, &["apply", "-f", &less])?;
                changed.push(time);
                ensure!(other.checksum != first.checksum, "no member has changed");
            }
        }
    }
    let image = image.context("there was no round")?;
    let some = |times: &[f64]| (!times.is_empty()).then(|| median(times));
    Ok(ChangeRow {
        amount,
        read: median(read),
        compile: median(compiled),
        apply: some(applied),
        change: some(changed),
        image: image.words * size_of::<u32>(),
        kernel: SIZE_CLASSES[image.size_class] * size_of::<u32>(),
    })
}

/// Runs a command that changes rules; returns the milliseconds that it took, and the image that is
/// in force then.
fn in_force(sg: &SgCtl<'_>, words: &[&str]) -> Result<(f64, ImageInfo)> {
    let image = || -> Result<ImageInfo> {
        let image = Dataplane::open(sg.pins())?.image()?;
        image.context("no image is in force")
    };
    let before = image()?;
    let (time, _) = timed(sg, words)?;
    let after = image()?;
    ensure!(after.generation > before.generation, "nothing has changed");
    Ok((time, after))
}

/// Runs a command; returns the milliseconds that it took, and what it said.
fn timed(sg: &SgCtl<'_>, words: &[&str]) -> Result<(f64, Outcome)> {
    let started = Instant::now();
    let outcome = sg.run(words);
    let time = milliseconds(started);
    ensure!(
        outcome.code == 0,
        "sg-ctl {words:?} ended with {}: {}",
        outcome.code,
        outcome.stderr
    );
    Ok((time, outcome))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
