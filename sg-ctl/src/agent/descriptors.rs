//! Room for files, sockets and maps.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that are enough for everything that the agent does.
const DESCRIPTORS: u64 = 65_536;

/// Of them those that no client gets: an interface being attached needs some fifty, and as many are
/// open for good.
const RESERVED: u64 = 128;

/// Takes as many descriptors as this process may have, and returns how many of them clients may have:
/// none of those that its own work needs, but at least one.
pub(super) fn raise() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1;
    };
    let wanted = hard.min(DESCRIPTORS).max(soft);
    // With fewer it goes as far as it gets.
    let is_raised = soft >= wanted || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    for_clients(if is_raised { wanted } else { soft })
}

fn for_clients(descriptors: u64) -> usize {
    let rest = descriptors.saturating_sub(RESERVED).max(1);
    usize::try_from(rest).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_none_of_the_descriptors_that_work_needs() {
        assert_eq!(for_clients(DESCRIPTORS), 65_408);
        assert_eq!(for_clients(140), 12);
        assert_eq!(for_clients(64), 1);
    }
}
