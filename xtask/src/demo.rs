//! `cargo xtask demo`: two security groups, two guarded hosts, four connections; and, as a second act,
//! many hosts of one VPC.

mod console;
mod host;
pub(crate) mod network;
mod report;
mod story;
mod vpc;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ::console::style;
use anyhow::{Context, Result};

pub(crate) use host::{Part, play};
pub(crate) use network::remove;
pub(crate) use vpc::{VpcDemoArgs, run as run_vpc};

use crate::{progress::Step, root};
use network::{DIRECTORY, HOSTS, Host, Network, output};
use report::Row;

/// What the demo works with.
pub(crate) struct DemoArgs {
    /// Leave the network and the rules in place.
    pub(crate) keep: bool,
    /// The program to show.
    pub(crate) sg_ctl: PathBuf,
    /// Serve API and console in place of the connections.
    pub(crate) console: bool,
}

/// The log of each guarded host.
type Logs = Vec<(&'static Host, String)>;

/// Runs the demo, as root.
pub(crate) fn run(arguments: &DemoArgs) -> Result<()> {
    let sg_ctl = fs::canonicalize(&arguments.sg_ctl)
        .with_context(|| format!("cannot find {}", arguments.sg_ctl.display()))?;
    if arguments.console {
        return console::run(&sg_ctl);
    }
    let step = Step::start("network", "a router and four hosts in namespaces");
    let network = Network::build(&HOSTS)?;
    step.done("up");
    for (host, group) in guarded() {
        attach(&sg_ctl, host, group)?;
    }
    let step = Step::start("connections", "trying");
    let attempts = story::try_all()?;
    step.done("tried");

    let logs = guarded()
        .map(|(host, _)| Ok((host, output(host.command(&sg_ctl).arg("logs"))?)))
        .collect::<Result<Logs>>()?;
    let rows = Row::all(&attempts, &logs);
    println!();
    report::table(&rows);
    heading("What proves it, from `sg-ctl logs` on each host:");
    report::proofs(&rows);
    for (host, _) in guarded() {
        heading(&format!("`sg-ctl flows` on the {}:", host.title));
        print!("{}", output(host.command(&sg_ctl).arg("flows"))?);
    }
    println!();
    let conclusion = report::conclude(&rows);
    if arguments.keep {
        explain_how_to_play(&sg_ctl)?;
        network.keep()?;
    }
    conclusion
}

/// The hosts that carry a group.
fn guarded() -> impl Iterator<Item = (&'static Host, &'static str)> {
    HOSTS
        .into_iter()
        .filter_map(|host| Some((host, host.group?)))
}

fn attach(sg_ctl: &Path, host: &Host, group: &str) -> Result<()> {
    let step = Step::start(host.title, &format!("attaching {group} to eth0"));
    let rules = root().join("examples/our-learning.yaml");
    output(
        host.command(sg_ctl)
            .args(["attach", "eth0", "--group", group, "--file"])
            .arg(rules),
    )?;
    step.done("enforced");
    Ok(())
}

fn heading(text: &str) {
    println!("\n{}", style(text).bold());
}

/// Writes a script that runs programs on the hosts, and shows what to do with it.
fn explain_how_to_play(sg_ctl: &Path) -> Result<()> {
    let script = Path::new(DIRECTORY).join("on");
    let programs = sg_ctl.parent().unwrap_or(Path::new("/")).display();
    fs::write(
        &script,
        format!(
            "#!/bin/sh\n\
             # Runs a program on a host of the demo: {DIRECTORY}/on HOST PROGRAM...\n\
             host=$1; shift\n\
             exec nsenter --net=/run/netns/sg-demo-$host -- env \\\n    \
             SG_STATE_DIR={DIRECTORY}/$host SG_PIN_DIR={DIRECTORY}/bpf/$host \\\n    \
             \"PATH={programs}:$PATH\" \"$@\"\n"
        ),
    )
    .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
    .with_context(|| format!("cannot write {}", script.display()))?;
    let script = script.display();
    println!(
        "\nThe network stays, with its servers and its rules. As root, try:

    {script} app sg-ctl status
    {script} app sg-ctl logs --follow
    {script} client curl http://{}/
    {script} database sg-ctl show rules

Hosts: {}. To remove it all:

    cargo xtask demo --clean",
        network::APP.address,
        HOSTS.map(|host| host.name).join(", "),
    );
    Ok(())
}
