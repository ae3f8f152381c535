//! TCP between the namespaces: connections a second, and what one stream carries.

use std::{
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt},
};

use super::{Guarded, OPEN, SERVER};

impl Guarded<'_> {
    /// Opens and resets connections; returns how many a second.
    pub(super) fn connect(&self) -> Result<f64> {
        const CONNECTIONS: u32 = 500;
        let listener = self
            .link
            .server
            .enter(|| TcpListener::bind((SERVER, OPEN)))?;
        let connect = || -> Result<Duration> {
            let started = Instant::now();
            for _ in 0..CONNECTIONS {
                let near = TcpStream::connect((SERVER, OPEN))?;
                let (far, _) = listener.accept()?;
                // Reset, or all ports would soon wait for late segments.
                let at_once = linger {
                    l_onoff: 1,
                    l_linger: 0,
                };
                setsockopt(&near, sockopt::Linger, &at_once)?;
                drop((near, far));
            }
            Ok(started.elapsed())
        };
        Ok(f64::from(CONNECTIONS) / self.link.client.enter(connect)?.as_secs_f64())
    }

    /// Gbit/s that one stream takes through.
    pub(super) fn pour(&self, time: Duration) -> Result<f64> {
        let port = OPEN.to_string();
        let address = SERVER.to_string();
        let mut server = Command::new("iperf3");
        server.args(["-s", "-1", "-p", &port]).stdout(Stdio::null());
        let server = self.link.server.enter(|| server.spawn());
        let mut server = server.context("cannot run iperf3 (Debian: iperf3)")?;
        let seconds = time.as_secs().to_string();
        let words = ["-c", &address, "-p", &port, "-t", &seconds, "-J"];
        let mut rate = None;
        for _ in 0..100 {
            let output = self.link.client.output(Command::new("iperf3").args(words));
            // It ends with success also when the server is not listening yet.
            let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
            rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
            if rate.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // It serves one client, and may have ended.
        let _ = server.kill();
        server.wait()?;
        Ok(rate.context("iperf3 finds no server")? / 1e9)
    }
}
