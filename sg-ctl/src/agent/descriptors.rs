//! Room for files, sockets and maps.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that are enough for everything that the agent does.
const DESCRIPTORS: u64 = 65_536;

/// Takes as many descriptors as this process may have: an interface being attached needs some fifty,
/// and clients of the metrics have theirs at the same time.
pub(super) fn raise() {
    // With fewer it goes as far as it gets.
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(
            Resource::RLIMIT_NOFILE,
            hard.min(DESCRIPTORS).max(soft),
            hard,
        );
    }
}
