//! A thread that carries what two files have to say to each other.
#![expect(unsafe_code, reason = "waiting for two descriptors")]

use std::{
    fs::File,
    io::Read as _,
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::libc;

/// More than a packet of any interface, with a header before it.
const MOST: usize = 1 << 17;

/// The thread. Dropped, it ends, and closes the files.
pub(crate) struct Relay {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Reads each file when there is something, and has `pass` hand it to the other.
    pub(crate) fn between(
        ends: [File; 2],
        pass: impl FnMut(&mut File, &[u8]) + Send + 'static,
    ) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        Self {
            is_over,
            thread: Some(thread::spawn(move || carry(ends, &over, pass))),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic has told what went wrong.
            let _ = thread.join();
        }
    }
}

fn carry(mut ends: [File; 2], over: &AtomicBool, mut pass: impl FnMut(&mut File, &[u8])) {
    let mut bytes = vec![0; MOST];
    while !over.load(Ordering::Relaxed) {
        let mut ready = [&ends[0], &ends[1]].map(|end| libc::pollfd {
            fd: end.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: two descriptions, of descriptors that are open.
        unsafe { libc::poll(ready.as_mut_ptr(), 2, 50) };
        for from in 0..2 {
            // An interface that goes down meanwhile has nothing to say.
            if ready[from].revents & libc::POLLIN != 0
                && let Ok(length) = ends[from].read(&mut bytes)
            {
                pass(&mut ends[1 - from], &bytes[..length]);
            }
        }
    }
}
