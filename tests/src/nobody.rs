//! A user without any rights.

#![expect(unsafe_code, reason = "nix changes the user of all threads")]

use std::thread;

use nix::libc;

/// The user that owns nothing (`nobody`).
const NOBODY: libc::c_long = 65_534;

/// Runs `work` as that user, on a thread of its own: users are a thread's, for the kernel.
pub fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let nobody = scope.spawn(|| {
            // SAFETY: changes the effective user of this thread, which ends with `work`. It takes numbers
            // alone; -1 leaves the other two users as they are.
            let result = unsafe { libc::syscall(libc::SYS_setresuid, -1_i64, NOBODY, -1_i64) };
            assert_eq!(result, 0, "root may become anybody");
            work()
        });
        nobody.join().expect("the work does not panic")
    })
}
