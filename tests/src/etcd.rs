//! Real etcd nodes, each in the namespace of a host.
//!
//! Their data lies in memory where it can: what is measured here is not the disk.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    certificates::{Authority, Identity},
    eventually_within,
    netns::Namespace,
    scratch::Directory,
    topology::Host,
};

/// The longest that etcd takes to be ready, or to choose a leader, on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Nodes of one cluster.
#[derive(Debug)]
pub struct Etcd<'n> {
    nodes: Vec<Node<'n>>,
    directory: Directory,
    options: Vec<String>,
    /// Whose certificates are asked for; without, nothing is encrypted.
    authority: Option<&'n Authority>,
}

#[derive(Debug)]
struct Node<'n> {
    namespace: &'n Namespace,
    address: Ipv4Addr,
    process: Option<Child>,
    /// What `etcdctl` needs where connections are encrypted.
    access: Option<Access>,
}

/// `etcd grpc-proxy`, which watches once for many; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it is asked.
    pub url: String,
    process: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An administrator's certificate.
#[derive(Debug)]
struct Access {
    ca: PathBuf,
    root: Identity,
}

/// A program of etcd's: from `SG_ETCD_DIR`, else the `PATH`.
fn program(name: &str) -> PathBuf {
    env::var_os("SG_ETCD_DIR").map_or_else(
        || PathBuf::from(name),
        |directory| Path::new(&directory).join(name),
    )
}

impl<'n> Etcd<'n> {
    /// Starts a node on each host, and waits until they serve.
    pub fn start(hosts: &[&'n Host], options: &[&str]) -> Self {
        Self::start_with(hosts, options, None)
    }

    /// The same for nodes that take connections with certificates of an authority alone. `etcdctl` has
    /// that of the user `root`.
    pub fn start_encrypted(hosts: &[&'n Host], authority: &'n Authority) -> Self {
        Self::start_with(hosts, &[], Some(authority))
    }

    fn start_with(hosts: &[&'n Host], options: &[&str], authority: Option<&'n Authority>) -> Self {
        let mut etcd = Self {
            nodes: hosts
                .iter()
                .map(|host| Node {
                    namespace: &host.namespace,
                    address: host.v4,
                    process: None,
                    access: authority.map(|authority| Access {
                        ca: authority.ca(),
                        root: authority.issue("root", None),
                    }),
                })
                .collect(),
            directory: Directory::in_memory("etcd"),
            options: options.iter().map(|&word| word.to_owned()).collect(),
            authority,
        };
        for number in 0..hosts.len() {
            etcd.start_node(number);
        }
        etcd.wait_until_ready();
        etcd
    }

    /// The processes that run.
    pub fn pids(&self) -> Vec<u32> {
        let running = self.nodes.iter().filter_map(|node| node.process.as_ref());
        running.map(Child::id).collect()
    }

    /// What `sg-ctl vpc join --etcd` takes.
    pub fn endpoints(&self) -> String {
        let urls = self.nodes.iter().map(Node::url);
        urls.collect::<Vec<_>>().join(",")
    }

    /// Starts a node that is not running, with the data that it had.
    pub fn start_node(&mut self, number: usize) {
        let name = |number: usize| format!("n{number}");
        let cluster: Vec<String> = (0..)
            .zip(&self.nodes)
            .map(|(number, node)| format!("{}=http://{}:2380", name(number), node.address))
            .collect();
        let data = self.directory.path().join(name(number));
        fs::create_dir_all(&data).expect("the directory is ours");
        let log = fs::File::create(self.directory.path().join(format!("n{number}.log")));
        let log = log.expect("the directory is ours");
        let node = &mut self.nodes[number];
        let (client, peer) = (node.url(), format!("http://{}:2380", node.address));
        let mut command = Command::new(program("etcd"));
        command
            .args(["--name", &name(number), "--data-dir"])
            .arg(&data)
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &cluster.join(",")])
            // On a machine that does much else, a leader must not be given up for being slow.
            .args(["--heartbeat-interval", "200", "--election-timeout", "2000"])
            .args(["--logger", "zap", "--log-level", "warn"])
            .args(&self.options);
        if let Some(authority) = self.authority {
            let own = authority.issue(&name(number), Some(node.address));
            command
                .arg("--client-cert-auth")
                .arg("--trusted-ca-file")
                .arg(authority.ca())
                .arg("--cert-file")
                .arg(own.cert)
                .arg("--key-file")
                .arg(own.key);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let started = node.namespace.enter(|| command.spawn());
        let help = "etcd can be run: `cargo xtask setup` provides it, SG_ETCD_DIR names its place";
        node.process = Some(started.expect(help));
    }

    /// Starts a proxy of all nodes on a host, and waits until it serves.
    pub fn start_proxy(&self, host: &Host) -> Proxy {
        let address = format!("{}:23790", host.v4);
        let log = fs::File::create(self.directory.path().join("proxy.log"));
        let mut command = Command::new(program("etcd"));
        command
            .args(["grpc-proxy", "start", "--endpoints", &self.endpoints()])
            .args(["--listen-addr", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the directory is ours"));
        let process = host.namespace.enter(|| command.spawn());
        let proxy = Proxy {
            url: format!("http://{address}"),
            process: process.expect("etcd can be run"),
        };
        eventually_within("an answer of the proxy", PATIENCE, || {
            let mut ask = Command::new(program("etcdctl"));
            ask.env("ETCDCTL_API", "3")
                .args(["--endpoints", &proxy.url, "get", "nothing"]);
            let answer = host.namespace.output(&mut ask);
            answer.status.success().then_some(())
        });
        proxy
    }

    /// Waits until every running node answers, which it does when there is a leader.
    pub fn wait_until_ready(&self) {
        let running = self.nodes.iter().filter(|node| node.process.is_some());
        for node in running {
            eventually_within("an answer of etcd", PATIENCE, || {
                node.ctl(&["get", "nothing"]).ok()
            });
        }
    }

    /// Kills a node as `kill -9` does.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.nodes[number].process.take() {
            process.kill().expect("it is our child");
            process.wait().expect("it is our child");
        }
    }

    /// Stops a node, or lets it go on.
    pub fn signal(&self, number: usize, signal: Signal) {
        let process = self.nodes[number].process.as_ref().expect("it runs");
        kill(Pid::from_raw(process.id().cast_signed()), signal).expect("it is our child");
    }

    /// Runs `etcdctl` on the first node that runs; returns what it prints.
    #[track_caller]
    pub fn ctl(&self, words: &[&str]) -> String {
        let running = self.nodes.iter().find(|node| node.process.is_some());
        let node = running.expect("a node runs");
        node.ctl(words)
            .unwrap_or_else(|error| panic!("etcdctl {words:?}: {error}"))
    }

    /// The same, where it may fail.
    pub fn try_ctl(&self, words: &[&str]) -> Result<String, String> {
        let running = self.nodes.iter().find(|node| node.process.is_some());
        running.expect("a node runs").ctl(words)
    }
}

impl Node<'_> {
    /// Where it serves its clients.
    fn url(&self) -> String {
        let scheme = if self.access.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}:2379", self.address)
    }

    fn ctl(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program("etcdctl"));
        command
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.url()])
            .args(["--dial-timeout", "10s", "--command-timeout", "30s"]);
        if let Some(Access { ca, root }) = &self.access {
            command.arg("--cacert").arg(ca);
            command.arg("--cert").arg(&root.cert);
            command.arg("--key").arg(&root.key);
        }
        command.args(words);
        let output = self.namespace.output(&mut command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }
}

impl Drop for Etcd<'_> {
    fn drop(&mut self) {
        for number in 0..self.nodes.len() {
            if let Some(process) = &mut self.nodes[number].process {
                // It may have ended; a stopped one dies, too.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}
