//! Programs that draw on a terminal.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command},
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};

use crate::{eventually, netns::Namespace};

/// A program on a terminal of 24 lines, killed when dropped.
#[derive(Debug)]
pub struct OnTerminal {
    child: Child,
    terminal: File,
    written: Receiver<Vec<u8>>,
    text: String,
}

impl OnTerminal {
    /// Starts a command on a terminal of its own.
    pub(super) fn start(namespace: &Namespace, mut command: Command, columns: u16) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).expect("the kernel has terminals");
        let copy = || pty.slave.try_clone().expect("a descriptor");
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let child = namespace.enter(|| command.spawn());
        let terminal = File::from(pty.master);
        let mut screen = terminal.try_clone().expect("a descriptor");
        let (sender, written) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails when nobody has the other end open any more.
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child: child.expect("sg-ctl can be run"),
            terminal,
            written,
            text: String::new(),
        }
    }

    /// Waits until it has written a word since the last call.
    #[track_caller]
    pub fn shows(&mut self, word: &str) {
        eventually(word, || {
            if let Ok(bytes) = self.written.try_recv() {
                self.text.push_str(&String::from_utf8_lossy(&bytes));
            }
            let end = self.text.find(word)? + word.len();
            self.text.drain(..end);
            Some(())
        });
    }

    /// Waits for its end and returns everything that it has written.
    pub fn text(mut self) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        let rest = || deadline.saturating_duration_since(Instant::now());
        while let Ok(bytes) = self.written.recv_timeout(rest()) {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.wait();
        self.text.replace("\r\n", "\n")
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.terminal
            .write_all(keys.as_bytes())
            .expect("the terminal has room for keys");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("it is our child");
    }

    /// Waits for its end and returns the exit code.
    pub fn wait(&mut self) -> i32 {
        let status = eventually("the end of sg-ctl", || {
            self.child.try_wait().expect("it is our child")
        });
        status.code().unwrap_or(-1)
    }

    /// Whether the terminal takes lines and shows what is typed, as shells expect.
    pub fn takes_lines(&self) -> bool {
        let mode = tcgetattr(&self.terminal).expect("it is a terminal");
        mode.local_flags
            .contains(LocalFlags::ICANON | LocalFlags::ECHO)
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
