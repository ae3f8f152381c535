//! Where the tour is played: commands run on the demo's hosts, and go down on the page.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::normal::Normal;
use crate::demo::network::{APP, DIRECTORY, Host};

/// How long something may take that happens at once.
const SOON: Duration = Duration::from_secs(10);

/// The hosts' common directory, and what has been put down.
pub(super) struct Stage {
    directory: PathBuf,
    page: String,
    normal: Normal,
    /// Ended with the stage.
    children: Vec<Child>,
}

/// A connection that stays open.
pub(super) struct Chat {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Stage {
    /// Makes the directory, with the programs that the hosts have on their path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn build(sg_ctl: &Path) -> Result<Self> {
        let directory = Path::new(DIRECTORY).join("tour");
        let programs = directory.join("bin");
        fs::create_dir_all(&programs)?;
        symlink(sg_ctl, programs.join("sg-ctl"))?;
        let this = std::env::current_exe().context("cannot find this program")?;
        for (name, part) in [("connect", "connect --patience 800"), ("chat", "chat")] {
            let script = programs.join(name);
            let this = this.display();
            let text = format!("#!/bin/sh\nexec {this} demo-host {part} \"$@\"\n");
            fs::write(&script, text)?;
            fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        }
        let mut stage = Self {
            directory,
            page: String::new(),
            normal: Normal::default(),
            children: Vec::new(),
        };
        let echo = format!("{} demo-host echo 22 > echo", this.display());
        stage.start(&APP, &echo, |directory| {
            fs::metadata(directory.join("echo")).is_ok_and(|file| file.len() > 0)
        })?;
        Ok(stage)
    }

    /// The page.
    pub(super) fn page(&self) -> &str {
        &self.page
    }

    /// Puts a file into the directory, out of sight.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn file(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.directory.join(name), text).with_context(|| format!("cannot write {name}"))
    }

    /// Writes prose.
    pub(super) fn say(&mut self, text: &str) {
        if !self.page.is_empty() {
            self.page.push('\n');
        }
        self.page.push_str(text.trim());
        self.page.push('\n');
    }

    /// Writes a block of commands.
    ///
    /// # Errors
    /// When a command does.
    pub(super) fn terminal<T>(&mut self, play: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.page.push_str("\n```console\n");
        let played = play(self)?;
        self.page.push_str("```\n");
        Ok(played)
    }

    /// Runs a command line on a host; what it prints must contain `expected`.
    ///
    /// # Errors
    /// When it cannot be run, or prints something else.
    pub(super) fn run(&mut self, host: &Host, line: &str, expected: &str) -> Result<()> {
        let output = self.shell(host, &format!("exec 2>&1; {line}")).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        self.type_in(host, line);
        self.put(&text);
        if !text.contains(expected) {
            bail!("`{line}` does not say `{expected}` but:\n{text}");
        }
        Ok(())
    }

    /// Starts a program that goes on beside the others, until `ready` is so.
    ///
    /// # Errors
    /// When it does not start, or does not get ready.
    pub(super) fn start(
        &mut self,
        host: &Host,
        line: &str,
        ready: impl Fn(&Path) -> bool,
    ) -> Result<u32> {
        let child = self
            .shell(host, &format!("exec {line}"))
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run `{line}`"))?;
        let pid = child.id();
        self.children.push(child);
        let started = Instant::now();
        while !ready(&self.directory) {
            if started.elapsed() > SOON {
                bail!("`{line}` does not get ready");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(pid)
    }

    /// Waits for a program that was started and told to end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(super) fn wait(&mut self, pid: u32) -> Result<()> {
        for child in self.children.iter_mut().filter(|child| child.id() == pid) {
            child.wait().context("cannot wait for a program")?;
        }
        Ok(())
    }

    /// Shows a command line without running it: what it stands for happens otherwise.
    pub(super) fn type_in(&mut self, host: &Host, line: &str) {
        let mark = if line.starts_with("connect") || line.starts_with("chat") {
            "$ "
        } else {
            "# "
        };
        self.page.extend([host.name, mark, line, "\n"]);
    }

    /// Opens a connection and keeps it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn chat(&mut self, host: &Host, peer: &str) -> Result<Chat> {
        let line = format!("chat {peer}");
        self.type_in(host, &line);
        let mut child = self
            .shell(host, &format!("exec {line}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("chat has no input")?;
        let output = child.stdout.take().context("chat has no output")?;
        self.children.push(child);
        Ok(Chat {
            input,
            output: BufReader::new(output),
        })
    }

    /// Types a line into a connection; the answer must be `expected`.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn type_to(&mut self, chat: &mut Chat, text: &str, expected: &str) -> Result<()> {
        writeln!(chat.input, "{text}").context("chat has ended")?;
        let mut answer = String::new();
        chat.output.read_line(&mut answer)?;
        self.put(&format!("> {text}\n{answer}"));
        if answer.trim_end() != expected {
            bail!("`{text}` is answered by `{answer}`, not by `{expected}`");
        }
        Ok(())
    }

    /// A shell on a host, in the directory.
    pub(super) fn shell(&self, host: &Host, line: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = self.directory.join("bin");
        let mut shell = host.command(Path::new("bash"));
        shell
            .args(["-c", line])
            .current_dir(&self.directory)
            .env("PATH", format!("{}:{path}:/usr/sbin", programs.display()))
            .env_remove("SSH_CONNECTION")
            .env("TZ", "UTC");
        shell
    }

    fn put(&mut self, text: &str) {
        let text = self.normal.text(text);
        self.page.push_str(&text);
        if !text.is_empty() && !text.ends_with('\n') {
            self.page.push('\n');
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
