//! `cargo xtask demo console`: the demo's network, with API and console on loopback.

use std::{
    io::{BufRead as _, BufReader, stdin},
    net::TcpListener,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Stdio},
    thread,
};

use anyhow::{Context as _, Result};

use super::network::{APP, DATABASE, HOSTS, Host, Network, ROUTER_HOST, output};
use crate::progress::Step;

/// Where API and console are, on the router and outside.
const ADDRESS: &str = "127.0.0.1:8790";

/// Lays out the network, guards two of its hosts, and serves until somebody types a word.
pub(super) fn run(sg_ctl: &Path) -> Result<()> {
    let step = Step::start("network", "a router and four hosts in namespaces");
    let _network = Network::build(&HOSTS)?;
    step.done("up");
    for Host { name, address, .. } in [APP, DATABASE] {
        let step = Step::start(name, "guarding its link, on the router");
        let mut attach = ROUTER_HOST.command(sg_ctl);
        attach.args(["attach", name, "--side", "workload", "--address"]);
        output(attach.arg(address.to_string()))?;
        step.done("enforced");
    }
    let listener =
        TcpListener::bind(ADDRESS).with_context(|| format!("cannot listen on {ADDRESS}"))?;
    let mut serving = Serving(
        ROUTER_HOST
            .command(sg_ctl)
            .args(["serve", "--listen", ADDRESS, "--host", "demo"])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `sg-ctl serve`")?,
    );
    let stdout = serving
        .0
        .stdout
        .take()
        .context("`sg-ctl serve` has no output")?;
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    // The keys are there when it says where it listens.
    let is_up = lines.any(|line| line.starts_with("EC2 endpoint"));
    anyhow::ensure!(is_up, "`sg-ctl serve` has ended");
    thread::spawn(move || lines.for_each(drop));
    thread::spawn(move || relay(&listener));
    let told = |words: &[&str]| output(ROUTER_HOST.command(sg_ctl).args(words));
    println!(
        "\nEC2 endpoint  http://{ADDRESS}\nconsole       {}\n{}\n\nThe link works once, for 30 s; Enter without \
         more prints another.\nTwo guarded hosts: app {}, database {}. Type q and Enter to end it all.\n",
        told(&["console"])?.trim_end(),
        told(&["console", "--key"])?.trim_end(),
        APP.address,
        DATABASE.address
    );
    for line in stdin().lock().lines() {
        if !line?.trim().is_empty() {
            break;
        }
        println!("{}", told(&["console"])?.trim_end());
    }
    Ok(())
}

/// An `sg-ctl serve`, ended when dropped.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Hands every connection to a process on the router.
fn relay(listener: &TcpListener) {
    let Ok(this) = std::env::current_exe() else {
        return;
    };
    for stream in listener.incoming().flatten() {
        let Ok(other) = stream.try_clone() else {
            continue;
        };
        let mut command = ROUTER_HOST.command(&this);
        command
            .args(["demo-host", "relay", ADDRESS])
            .stdin(OwnedFd::from(stream))
            .stdout(OwnedFd::from(other));
        thread::spawn(move || command.status());
    }
}
