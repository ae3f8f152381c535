//! What to do about an operation that was interrupted: finish it, or take it back.

use std::collections::BTreeSet;

use crate::host::state::State;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// Whether the next state becomes the state.
    pub(super) forward: bool,
    /// Zones to detach: those that the chosen state does not have and the other one has.
    pub(super) detach: Vec<u32>,
}

/// Decides by what is in the kernel: the generation of its image, and the zones with both hooks in
/// place.
///
/// Attaching changes the image after the hooks and detaching before the image, so the image tells
/// for all operations but one: a detach that has begun has removed hooks that the state still has.
pub(super) fn decide(
    current: &State,
    next: &State,
    image_generation: Option<u64>,
    complete: &BTreeSet<u32>,
) -> Decision {
    let zones = |state: &State| -> BTreeSet<u32> {
        state
            .attachments
            .values()
            .map(|record| record.zone)
            .collect()
    };
    let (before, after) = (zones(current), zones(next));
    // An operation that adds a zone is no detach, though it may replace one whose interface is gone.
    let detach_has_begun = after.is_subset(&before)
        && before
            .difference(&after)
            .any(|zone| !complete.contains(zone));
    let forward = image_generation == Some(next.generation) || detach_has_begun;
    let (chosen, other) = if forward {
        (&after, &before)
    } else {
        (&before, &after)
    };
    Decision {
        forward,
        detach: other.difference(chosen).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::state::{AttachmentRecord, Overrides};
    use sg_policy::model::{Hook, Side};

    /// A state with an interface per zone.
    fn state(generation: u64, zones: &[u32]) -> State {
        let mut state = State {
            generation,
            ..State::default()
        };
        for zone in zones {
            let record = AttachmentRecord {
                zone: *zone,
                side: Side::Nic,
                hook: Hook::Auto,
                overrides: Overrides::default(),
                by_pattern: false,
                unconfirmed: false,
                before: None,
                rolled_back: false,
                keep_ssh: None,
                isolated: None,
            };
            state.attachments.insert(format!("eth{zone}"), record);
        }
        state
    }

    /// The decision after a crash with this image and these zones complete in the kernel.
    fn crash(
        current: &State,
        next: &State,
        image: Option<u64>,
        complete: &[u32],
    ) -> (bool, Vec<u32>) {
        let complete = complete.iter().copied().collect();
        let decision = decide(current, next, image, &complete);
        (decision.forward, decision.detach)
    }

    #[test]
    fn apply_is_taken_back_before_the_swap_and_finished_after_it() {
        let (current, next) = (state(4, &[0]), state(5, &[0]));
        assert_eq!(crash(&current, &next, Some(4), &[0]), (false, vec![]));
        assert_eq!(crash(&current, &next, Some(5), &[0]), (true, vec![]));
    }

    #[test]
    fn the_first_attach_is_taken_back_until_its_image_is_there() {
        let (current, next) = (state(0, &[]), state(1, &[0]));
        for complete in [&[][..], &[0]] {
            assert_eq!(crash(&current, &next, None, complete), (false, vec![0]));
        }
        assert_eq!(crash(&current, &next, Some(1), &[0]), (true, vec![]));
    }

    #[test]
    fn another_attach_is_taken_back_until_its_image_is_there() {
        let (current, next) = (state(4, &[0]), state(5, &[0, 1]));
        for complete in [&[0][..], &[0, 1]] {
            assert_eq!(crash(&current, &next, Some(4), complete), (false, vec![1]));
        }
        assert_eq!(crash(&current, &next, Some(5), &[0, 1]), (true, vec![]));
    }

    #[test]
    fn a_detach_that_has_begun_is_finished() {
        let (current, next) = (state(4, &[0, 1]), state(5, &[1]));
        assert_eq!(crash(&current, &next, Some(4), &[0, 1]), (false, vec![]));
        assert_eq!(crash(&current, &next, Some(4), &[1]), (true, vec![0]));
        assert_eq!(crash(&current, &next, Some(5), &[1]), (true, vec![0]));
        let none = state(5, &[]);
        assert_eq!(crash(&current, &none, Some(4), &[0, 1]), (false, vec![]));
        assert_eq!(crash(&current, &none, Some(4), &[1]), (true, vec![0, 1]));
        assert_eq!(crash(&current, &none, None, &[]), (true, vec![0, 1]));
    }

    #[test]
    fn an_attach_in_place_of_one_whose_interface_is_gone_waits_for_its_image() {
        let (current, next) = (state(4, &[0]), state(5, &[1]));
        for complete in [&[][..], &[0], &[0, 1]] {
            assert_eq!(crash(&current, &next, Some(4), complete), (false, vec![1]));
        }
        assert_eq!(crash(&current, &next, Some(5), &[1]), (true, vec![0]));
    }

    #[test]
    fn an_interface_that_has_gone_by_itself_decides_nothing() {
        let (current, next) = (state(4, &[0, 1]), state(5, &[0, 1]));
        assert_eq!(crash(&current, &next, Some(4), &[0]), (false, vec![]));
    }
}
