//! The command itself, run on hosts of a test network.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use caps::CapSet;
pub use caps::Capability;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_common::names::LAYOUT_VERSION;

use crate::{eventually, netns::Namespace, scratch::Directory};

mod program;
mod rules;
mod terminal;

use program::program;
pub use terminal::OnTerminal;

/// sg-ctl on one host, with state and pins of its own.
#[derive(Debug)]
pub struct SgCtl<'a> {
    namespace: &'a Namespace,
    state: Directory,
    pins: Directory,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code, -1 when it was killed.
    pub code: i32,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl<'a> SgCtl<'a> {
    /// An sg-ctl that has done nothing yet.
    pub fn new(namespace: &'a Namespace) -> Self {
        Self {
            namespace,
            state: Directory::temporary("state"),
            pins: Directory::for_pins("pins"),
        }
    }

    /// The directory of its state, where tests may put rule files too.
    pub fn directory(&self) -> &Path {
        self.state.path()
    }

    /// The directory of its pins.
    pub fn pins(&self) -> &Path {
        self.pins.path()
    }

    /// The directory of the pins of this version's layout.
    pub fn pin_version(&self) -> PathBuf {
        self.pins.path().join(format!("v{LAYOUT_VERSION}"))
    }

    /// Where its agent listens for readers of events.
    pub fn socket(&self) -> PathBuf {
        self.state.path().join("state/events.sock")
    }

    /// Runs `work` inside the namespace of its host.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.enter(work)
    }

    /// Whether it has neither state nor pins.
    pub fn is_untouched(&self) -> bool {
        let state = self.state.path().join("state");
        let is_empty = |path: &Path| {
            fs::read_dir(path).map_or(true, |mut entries| {
                // The lock is made before anything is decided, and says nothing.
                entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lock"))
            })
        };
        is_empty(&state) && self.has_no_pins()
    }

    /// Whether nothing of it is pinned.
    pub fn has_no_pins(&self) -> bool {
        fs::read_dir(self.pins.path()).map_or(true, |mut entries| entries.next().is_none())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("SG_STATE_DIR", self.state.path().join("state"))
            .env("SG_PIN_DIR", self.pins.path())
            .env_remove("RUST_BACKTRACE")
            .env_remove("SSH_CONNECTION")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.namespace, self.command(program()).args(words))
    }

    /// Runs it to its end with variables in its environment.
    pub fn run_with(&self, variables: &[(&str, &str)], words: &[&str]) -> Outcome {
        let mut command = self.command(program());
        command.args(words).envs(variables.iter().copied());
        Outcome::of(self.namespace, &mut command)
    }

    /// Runs it to its end with a file for standard output; returns the exit code.
    pub fn run_into(&self, stdout: fs::File, words: &[&str]) -> i32 {
        let mut command = self.command(program());
        command.args(words).stdout(stdout).stderr(Stdio::null());
        let ended = self.namespace.enter(|| command.status());
        ended.expect("sg-ctl can be run").code().unwrap_or(-1)
    }

    /// Runs it to its end as over an SSH connection, of which sshd says this.
    pub fn run_over_ssh(&self, connection: &str, words: &[&str]) -> Outcome {
        let mut command = self.command(program());
        command.env("SSH_CONNECTION", connection).args(words);
        Outcome::of(self.namespace, &mut command)
    }

    /// Runs it to its end below a process that is called sshd and holds a connection, with nothing
    /// said of it in the environment, as `sudo` leaves it.
    pub fn run_below_sshd(&self, connection: TcpStream, words: &[&str]) -> Outcome {
        let directory = Directory::temporary("sshd");
        let sshd = directory.path().join("sshd");
        // By another process, as in `run_as_nobody`.
        let cp = Command::new("cp")
            .args([Path::new("/bin/sh"), &sshd])
            .status();
        assert!(cp.is_ok_and(|cp| cp.success()), "there is room for a copy");
        let mut command = self.command(&sshd);
        command
            // With a second command the shell does not make itself the first one.
            .args(["-c", "\"$@\"; exit $?", "sshd"])
            .arg(program())
            .args(words)
            .stdin(OwnedFd::from(connection));
        Outcome::of(self.namespace, &mut command)
    }

    /// Runs it up to the `number`th point at which an operation can be cut short, where it is killed;
    /// to its end when it reaches fewer. See [`sg_ctl::host::crash`].
    pub fn run_killed_at(&self, number: usize, words: &[&str]) -> Outcome {
        let mut command = self.command(program());
        command.env("SG_CRASH_AT", number.to_string()).args(words);
        Outcome::of(self.namespace, &mut command)
    }

    /// Runs it to its end where the monotonic clock is ten days ahead; `None` where time namespaces,
    /// or the program that makes them, are not there.
    pub fn run_ten_days_ahead(&self, words: &[&str]) -> Option<Outcome> {
        let ahead = [
            "--time",
            "--monotonic",
            "864000",
            "--boottime",
            "864000",
            "--",
        ];
        let tried = Command::new("unshare").args(ahead).arg("true").output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            return None;
        }
        let mut command = self.command(Path::new("unshare"));
        command.args(ahead).arg(program()).args(words);
        Some(Outcome::of(self.namespace, &mut command))
    }

    /// Runs it to its end as a user without any rights.
    pub fn run_as_nobody(&self, words: &[&str]) -> Outcome {
        // A copy that everybody may run, wherever the build directory is.
        let directory = Directory::temporary("everybody");
        let copy = directory.path().join("sg-ctl");
        // By another process: ours is forked all the time, and a child that still has the copy open
        // for writing would make it "busy" to run.
        let cp = Command::new("cp").args([program(), &copy]).status();
        assert!(cp.is_ok_and(|cp| cp.success()), "there is room for a copy");
        let mut command = self.command(&copy);
        let nobody = 65_534;
        command.args(words).uid(nobody).gid(nobody);
        Outcome::of(self.namespace, &mut command)
    }

    /// Runs it, asserts success and returns what it printed.
    #[track_caller]
    pub fn ok(&self, words: &[&str]) -> String {
        let outcome = self.run(words);
        assert_eq!(outcome.code, 0, "sg-ctl {words:?}: {outcome:#?}");
        outcome.stdout
    }

    /// Runs it, asserts that it fails with this code, and returns its error.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) -> String {
        let outcome = self.run(words);
        assert_eq!(outcome.code, code, "sg-ctl {words:?}: {outcome:#?}");
        assert!(outcome.stderr.starts_with("error: "), "{outcome:#?}");
        outcome.stderr
    }

    /// Runs it with `--json`, asserts success and returns the document.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let outcome = self.run(&[words, &["--json"]].concat());
        // `status` ends so when it has problems to tell.
        let is_told = words == ["status"] && outcome.code == 4;
        assert!(
            outcome.code == 0 || is_told,
            "sg-ctl {words:?}: {outcome:#?}"
        );
        let text = outcome.stdout;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
    }

    /// Starts it and lets it run until the returned value is dropped.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut command = self.command(program());
        command.args(words);
        self.spawn(command, || {})
    }

    /// Starts it as [`start`](Self::start) does; the lines are those of its standard error.
    pub fn start_for_notes(&self, words: &[&str]) -> Running {
        let mut command = self.command(program());
        command.args(words).stderr(Stdio::piped());
        self.spawn(command, || {})
    }

    /// Starts it as a service manager does that listens at a socket.
    pub fn start_as_service(&self, words: &[&str], notify_socket: &Path) -> Running {
        let mut command = self.command(program());
        command.args(words).env("NOTIFY_SOCKET", notify_socket);
        self.spawn(command, || {})
    }

    /// Starts it as root with these capabilities and no other.
    pub fn start_with_capabilities(&self, words: &[&str], capabilities: &[Capability]) -> Running {
        let mut command = self.command(program());
        command.args(words);
        self.spawn(command, || {
            // What root gains by running a program is limited by this set, which is the thread's.
            for capability in caps::runtime::thread_all_supported() {
                if !capabilities.contains(&capability) {
                    caps::drop(None, CapSet::Bounding, capability).expect("root may drop it");
                }
            }
        })
    }

    /// Starts it with room for so many files and sockets; `None` where the program that limits it is not
    /// there.
    pub fn start_with_descriptors(&self, words: &[&str], most: u32) -> Option<Running> {
        Command::new("prlimit").arg("--version").output().ok()?;
        let mut command = self.command(Path::new("prlimit"));
        command
            .arg(format!("--nofile={most}:{most}"))
            .arg(program())
            .args(words);
        Some(self.spawn(command, || {}))
    }

    /// Starts it on a terminal of so many columns.
    pub fn start_on_terminal(&self, columns: u16, words: &[&str]) -> OnTerminal {
        let mut command = self.command(program());
        command.args(words);
        OnTerminal::start(self.namespace, command, columns)
    }

    /// Starts a command from a thread that has been prepared.
    fn spawn(&self, mut command: Command, prepare: impl FnOnce() + Send) -> Running {
        command.stdout(Stdio::piped());
        let mut child = self
            .namespace
            .enter(|| {
                prepare();
                command.spawn()
            })
            .expect("sg-ctl can be run");
        let stdout = child.stdout.take().expect("it is piped");
        let output: Box<dyn Read + Send> = match child.stderr.take() {
            Some(stderr) => Box::new(stderr),
            None => Box::new(stdout),
        };
        let (sender, lines) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines }
    }
}

impl Outcome {
    fn of(namespace: &Namespace, command: &mut Command) -> Self {
        let output = namespace.output(command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            signal: output.status.signal(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// An sg-ctl that runs in the background, killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    /// Waits for the next line of its output.
    #[track_caller]
    pub fn line(&mut self) -> String {
        eventually("a line of output", || self.lines.try_recv().ok())
    }

    /// Waits for a line that holds all of these words.
    #[track_caller]
    pub fn line_with(&mut self, words: &[&str]) -> String {
        loop {
            let line = self.line();
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// The line of its status that begins with a name, as /proc has it.
    pub fn status_line(&self, name: &str) -> String {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect("the kernel writes it").trim().to_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("it is our child");
    }

    /// Waits for its end and returns the exit code.
    pub fn wait(mut self) -> i32 {
        let status = eventually("the end of sg-ctl", || {
            self.child.try_wait().expect("it is our child")
        });
        status.code().unwrap_or(-1)
    }

    /// Kills it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, or been killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
