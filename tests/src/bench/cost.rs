//! Part a: what the programs cost per frame, where nothing else costs anything.
//!
//! Each run of a program stands beside a run of the empty program, minimum and median are of all
//! runs, and every run must move exactly the counters that its row claims: a measurement of another
//! path than the stated one is an error.

use std::io;

use anyhow::{Context, Result, ensure};
use sg_common::{
    counters::{Tally, ZoneCounters},
    reason::{Reason, Verdict},
};
use sg_policy::{compile::CompileError, model::LogMode};

use super::{
    Options, Scale,
    report::{CostRow, Sample},
    scenes::{Between, Row, Scene, Step, scenes},
    stage::{Program, Run, Stage},
};
use crate::prog::{describe, difference};

/// Frames between two readings of the log, fewer than it holds.
const LOGGED_FRAMES: u32 = 1 << 15;

/// Measures everything that the options choose.
///
/// # Errors
/// When programs cannot be run, or a frame took another path than its row says.
pub fn measure(options: &Options) -> Result<Vec<CostRow>> {
    let mut rows = Vec::new();
    let mut stage: Option<(u32, Stage)> = None;
    for scene in scenes(&options.scale) {
        if !options.wants(&scene.name) {
            continue;
        }
        options.progress(&scene.name);
        // The old stage's memory goes before the new one's comes.
        let (_, stage) = match stage.take_if(|(table, _)| *table != scene.table) {
            None if stage.is_some() => stage.as_mut().context("it is there")?,
            old => {
                drop(old);
                stage.insert((scene.table, Stage::new(scene.table)?))
            }
        };
        let measured = play(stage, &scene, &options.scale);
        rows.extend(measured.with_context(|| format!("scene `{}`", scene.name))?);
    }
    Ok(rows)
}

/// Measures one scene.
fn play(stage: &mut Stage, scene: &Scene, scale: &Scale) -> Result<Vec<CostRow>> {
    stage.set_log(LogMode::Off)?;
    stage.empty_flow_table()?;
    if let Err(error) = stage.set_rules(&scene.rules) {
        return refused(scene, &error).context(error);
    }
    if let Some((flows, peers)) = &scene.kernel {
        stage.set_kernel_tables(*flows, peers)?;
    }
    for step in &scene.before {
        prepare(stage, step)?;
    }
    let mut rows = Vec::new();
    for row in &scene.rows {
        let measured = play_row(stage, row, scale);
        let (quiet, logged) = measured.with_context(|| format!("row `{}`", row.name))?;
        rows.push(CostRow {
            scene: scene.name.clone(),
            name: row.name.clone(),
            reason: row.reason.map(Reason::name),
            quiet: Some(quiet),
            logged,
            refused: None,
        });
    }
    stage.forget_flows()?;
    Ok(rows)
}

/// The rows of a scene whose rules are too much for the compiler, which is a result too.
fn refused(scene: &Scene, error: &anyhow::Error) -> Result<Vec<CostRow>> {
    let error: &CompileError = error.downcast_ref().context("the rules are refused")?;
    let row = |row: &Row| CostRow {
        scene: scene.name.clone(),
        name: row.name.clone(),
        reason: row.reason.map(Reason::name),
        quiet: None,
        logged: None,
        refused: Some(error.to_string()),
    };
    Ok(scene.rows.iter().map(row).collect())
}

/// Judges the frames of a step, all of which must pass.
fn prepare(stage: &mut Stage, step: &Step) -> Result<()> {
    let frames = step.traffic.numbers.max(1);
    let begin = |stage: &mut Stage| stage.set_traffic(&step.traffic);
    let (_, moved) = uninterrupted(stage, begin, (step.program, &step.frame, frames))?;
    let good = Reason::ALL
        .iter()
        .filter(|reason| reason.verdict() == Verdict::Pass);
    let side = &moved.reasons[step.program.direction() as usize];
    let passed: u64 = good.map(|reason| side[*reason as usize].packets).sum();
    ensure!(
        passed == u64::from(frames),
        "{passed} of {frames} preparing frames passed:\n{}",
        describe(&moved)
    );
    Ok(())
}

/// Measures a row without and with a log; a program that does not judge has none.
fn play_row(stage: &mut Stage, row: &Row, scale: &Scale) -> Result<(Sample, Option<Sample>)> {
    stage.set_traffic(&row.traffic)?;
    stage.set_log(LogMode::Off)?;
    let quiet = sample(stage, row, scale)?;
    if row.reason.is_none() {
        return Ok((quiet, None));
    }
    stage.set_log(LogMode::All)?;
    if !scale.log_of_unlogged && !is_logged(stage, row)? {
        return Ok((quiet, None));
    }
    let logged = sample(stage, row, scale)?;
    Ok((quiet, Some(logged)))
}

fn sample(stage: &mut Stage, row: &Row, scale: &Scale) -> Result<Sample> {
    let is_logged = is_logged(stage, row)?;
    let mut most = scale.packets;
    if is_logged {
        most = most.min(LOGGED_FRAMES);
    }
    if row.between != Between::Nothing {
        most = most.min(row.traffic.numbers);
    }
    let empty = row.program.empty();
    let (mut times, mut empties) = (Vec::new(), Vec::new());
    for _ in 0..scale.runs {
        let nothing = |_: &mut Stage| Ok(());
        let (of_empty, _) = uninterrupted(stage, nothing, (empty, &row.frame, scale.packets))?;
        empties.push(of_empty.each_ns);
        let (mut left, mut total) = (scale.packets, 0.0);
        while left > 0 {
            let frames = left.min(most);
            total += f64::from(frames) * run(stage, row, frames, is_logged)?;
            left -= frames;
        }
        times.push(total / f64::from(scale.packets));
    }
    Ok(Sample::of(&times, &empties))
}

/// Whether each frame of a row leaves an event.
fn is_logged(stage: &Stage, row: &Row) -> Result<bool> {
    let logged = stage.logged()?;
    Ok(row
        .reason
        .is_some_and(|reason| logged >> reason as u8 & 1 != 0))
}

/// Runs a row's program on some frames; returns nanoseconds per frame, once it is clear that they
/// took the path that the row says.
fn run(stage: &mut Stage, row: &Row, frames: u32, is_logged: bool) -> Result<f64> {
    let begin = |stage: &mut Stage| {
        match row.between {
            Between::Nothing => {}
            Between::Emptied => stage.empty_flow_table()?,
            Between::Expired => stage.forget_flows()?,
        }
        if row.between != Between::Nothing {
            stage.set_traffic(&row.traffic)?;
        }
        stage.drain();
        Ok(())
    };
    let (run, moved) = uninterrupted(stage, begin, (row.program, &row.frame, frames))?;
    let mut expected = ZoneCounters::ZERO;
    let mut verdict = Verdict::Pass;
    if let Some(reason) = row.reason {
        expected.reasons[row.program.direction() as usize][reason as usize] = Tally {
            packets: u64::from(frames),
            bytes: u64::from(frames) * row.frame.len() as u64,
        };
        verdict = reason.verdict();
    }
    ensure!(
        moved == expected && run.verdict == verdict,
        "{frames} frames took another path: the last one's verdict is {:?}, the counters that \
         moved are:\n{}",
        run.verdict,
        describe(&moved)
    );
    let events = stage.drain();
    let expected = if is_logged { u64::from(frames) } else { 0 };
    ensure!(
        events == expected,
        "{events} events in the log, not {expected}"
    );
    Ok(run.each_ns)
}

/// Runs a program on some frames, after what `begin` does; returns which counters moved, too. The kernel gives a
/// run up when a signal comes, and does not say how far it was: then all of it is done once more.
fn uninterrupted(
    stage: &mut Stage,
    begin: impl Fn(&mut Stage) -> Result<()>,
    (program, frame, frames): (Program, &[u8], u32),
) -> Result<(Run, ZoneCounters)> {
    loop {
        begin(stage)?;
        let before = stage.counters()?;
        match stage.run(program, frame, frames) {
            Err(error) if is_interrupted(&error) => {}
            run => return Ok((run?, difference(&stage.counters()?, &before))),
        }
    }
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::Interrupted)
}

/// Whether the programs that vary frames vary them as [`Traffic`](super::traffic::Traffic) says: for tests.
///
/// # Errors
/// When a program cannot be run.
pub fn frames_vary_as_stated() -> Result<bool> {
    let mut stage = Stage::new(1024)?;
    let row = scenes(&super::TINY)
        .into_iter()
        .flat_map(|scene| scene.rows)
        .find(|row| row.program == Program::XDP_VARY)
        .context("a row varies frames")?;
    stage.set_traffic(&row.traffic)?;
    let mut at = row.traffic.state;
    for _ in 0..64 {
        let frame = stage.varied(row.program, &row.frame)?;
        let end = row.traffic.end(row.traffic.number(at));
        at = row.traffic.next(at);
        let port = end.port.context("its ports vary")?.to_be_bytes();
        let (address_at, port_at) = (
            row.traffic.address_at as usize,
            row.traffic.port_at as usize,
        );
        let mut expected = row.frame.clone();
        expected[address_at..address_at + 4].copy_from_slice(&end.address.to_be_bytes());
        expected[port_at..port_at + 2].copy_from_slice(&port);
        if frame != expected {
            return Ok(false);
        }
    }
    Ok(true)
}
