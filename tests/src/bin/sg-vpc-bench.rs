//! Measures a VPC of many hosts: `cargo xtask bench vpc` builds it and starts it as root.

use std::fmt::Display;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sg_tests::vpc_bench::{agents, kernels, part};

/// What a VPC of many hosts costs, on three nodes of etcd on this machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Agents by the thousand: the clients are real, the kernels are made up.
    Agents {
        /// Hosts, each with an agent.
        #[arg(long, default_value_t = 1000)]
        hosts: usize,

        /// Addresses of each.
        #[arg(long, default_value_t = 10)]
        addresses: usize,

        /// Groups.
        #[arg(long, default_value_t = 100)]
        groups: usize,

        /// Groups that a host's rules name.
        #[arg(long, default_value_t = 4)]
        followed: usize,

        /// Changes in a second.
        #[arg(long, default_value_t = 3.0)]
        rate: f64,

        /// How many seconds.
        #[arg(long, default_value_t = 20.0)]
        seconds: f64,

        /// Agents speak to `etcd grpc-proxy` in place of the nodes.
        #[arg(long)]
        proxy: bool,
    },
    /// Three guarded hosts among many members: what is in force, a packet tells.
    Kernels {
        /// Members, before anything changes.
        #[arg(long, default_value_t = 100_000)]
        members: usize,

        /// Changes in a second.
        #[arg(long, default_value_t = 100.0)]
        rate: f64,

        /// How many seconds.
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,

        /// Members that join at once.
        #[arg(long, default_value_t = 10_000)]
        burst: usize,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().part {
        Part::Agents {
            hosts,
            addresses,
            groups,
            followed,
            rate,
            seconds,
            proxy,
        } => agents(agents::Amounts {
            hosts,
            addresses,
            groups,
            followed,
            rate,
            seconds,
            proxy,
        }),
        Part::Kernels {
            members,
            rate,
            seconds,
            burst,
        } => kernels(kernels::Amounts {
            members,
            rate,
            seconds,
            burst,
        }),
    }
}

fn row(name: &str, value: impl Display) {
    println!("{name:<42}{value}");
}

/// Delays in a row; `of` tells what lies at a part of them.
fn delays(of: impl Fn(f64) -> f64) -> String {
    let [median, most, last] = [0.5, 0.99, 1.0].map(of);
    format!("{median:.1} ms (p50), {most:.1} (p99), {last:.1} (last)")
}

fn agents(amounts: agents::Amounts) -> Result<()> {
    let (hosts, members) = (amounts.hosts, amounts.hosts * amounts.addresses);
    let through = if amounts.proxy {
        ", by etcd's grpc-proxy"
    } else {
        ""
    };
    println!(
        "{hosts} agents, {members} addresses, {} groups{through}",
        amounts.groups
    );
    let figures = agents::measure(amounts)?;
    row(
        "all agents know everything after",
        format!("{:.2} s", figures.loaded),
    );
    row("memory of an agent", format!("{} KiB", figures.memory));
    row(
        "changes in a second, followers of one",
        format!("{:.1}, {:.0}", figures.rate, figures.followers),
    );
    row(
        "a change reaches a follower after",
        delays(|which| part(&figures.delays, which)),
    );
    row(
        "a change of the rules reaches all after",
        delays(|which| part(&figures.rules, which)),
    );
    row(
        "processors that etcd's nodes use",
        format!("{:.2}", figures.etcd),
    );
    row(
        "memory of the largest node",
        format!("{} MiB", figures.etcd_memory),
    );
    Ok(())
}

fn kernels(amounts: kernels::Amounts) -> Result<()> {
    println!("3 guarded hosts, {} members elsewhere", amounts.members);
    let figures = kernels::measure(amounts)?;
    row("all are admitted after", format!("{:.2} s", figures.loaded));
    row("memory of an agent", format!("{} MiB", figures.memory));
    row(
        "processor time when nothing changes",
        format!("{:.1} ms/s", figures.idle),
    );
    row(
        "processor time of one member changed",
        format!("{:.1} ms", figures.alone),
    );
    row(
        "it is admitted after",
        format!(
            "{:.1} ms (p50), {:.1} (last)",
            figures.alone_delay(0.5),
            figures.alone_delay(1.0)
        ),
    );
    row("changes in a second", format!("{:.1}", figures.rate));
    row(
        "part of a processor that following takes",
        format!("{:.2}", figures.busy),
    );
    row(
        "a change is admitted after",
        delays(|part| figures.delay(part)),
    );
    row(
        &format!("{} join at once, all admitted after", amounts.burst),
        format!(
            "{:.2} s ({:.2} s to write them)",
            figures.burst, figures.written
        ),
    );
    Ok(())
}
