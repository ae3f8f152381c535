//! Measures a VPC of many hosts: `cargo xtask bench vpc` builds it and starts it as root.

use std::process::ExitCode;

use clap::Parser;
use sg_tests::vpc_bench::{Amounts, measure};

/// What to measure.
#[derive(Parser)]
struct Arguments {
    /// Hosts, each with an agent: the clients are real, the kernels are made up.
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
    #[arg(long, default_value_t = 25.0)]
    rate: f64,

    /// How many seconds.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

fn main() -> ExitCode {
    let Arguments {
        hosts,
        addresses,
        groups,
        followed,
        rate,
        seconds,
    } = Arguments::parse();
    let amounts = Amounts {
        hosts,
        addresses,
        groups,
        followed,
        rate,
        seconds,
    };
    println!(
        "{hosts} agents, {} addresses, {groups} groups, three nodes of etcd on this machine",
        hosts * addresses
    );
    match measure(amounts) {
        Ok(figures) => {
            println!(
                "all agents know everything after      {:8.2} s",
                figures.loaded
            );
            println!(
                "memory of an agent                    {:8} KiB",
                figures.memory
            );
            println!(
                "changes in a second, followers of one {:8.1}, {:.0}",
                figures.rate, figures.followers
            );
            println!(
                "a change reaches a follower after     {:8.1} ms (p50), {:.1} (p99), {:.1} (last)",
                figures.delay(0.5),
                figures.delay(0.99),
                figures.delay(1.0)
            );
            println!("processors that etcd's nodes use      {:8.2}", figures.etcd);
            println!(
                "memory of the largest node            {:8} MiB",
                figures.etcd_memory
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
