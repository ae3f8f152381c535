//! Frames that vary, as the benchmark's programs vary them.
#![expect(unsafe_code, reason = "Pod is an unsafe marker")]

#[path = "../../../sg-ebpf/src/bench/traffic.rs"]
#[expect(clippy::inline_always, reason = "the kernel programs call it")]
mod shared;

pub(crate) use shared::Traffic;

const _: () = assert!(size_of::<Traffic>() == size_of::<(u64, [u32; 8])>());
// SAFETY: repr(C), integers only, and without padding (asserted above).
unsafe impl aya::Pod for Traffic {}

impl Traffic {
    /// Frames stay as they are.
    pub(crate) const NONE: Self = Self {
        state: 1,
        numbers: 0,
        in_order: 0,
        address_at: 0,
        first_address: 0,
        address_step: 1,
        ports: 1,
        port_at: 0,
        first_port: 0,
    };
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const FLOWS: Traffic = Traffic {
        numbers: 100_000,
        first_address: 0x0a00_0001,
        address_step: 3,
        ports: 1 << 14,
        first_port: 1024,
        ..Traffic::NONE
    };

    #[test]
    fn every_number_has_an_end_of_its_own() {
        let ends: HashSet<_> = (0..FLOWS.numbers)
            .map(|number| FLOWS.end(number))
            .map(|end| (end.address, end.port))
            .collect();
        assert_eq!(ends.len(), FLOWS.numbers as usize);
        let last = FLOWS.end(FLOWS.numbers - 1);
        assert_eq!(last.address, 0x0a00_0001 + 3 * 6);
    }

    #[test]
    fn numbers_in_order_begin_again() {
        let traffic = Traffic {
            state: 0,
            numbers: 3,
            in_order: 1,
            ..FLOWS
        };
        let mut state = traffic.state;
        let numbers = [(); 5].map(|()| {
            let number = traffic.number(state);
            state = traffic.next(state);
            number
        });
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn random_numbers_reach_all_ends_evenly() {
        let traffic = Traffic {
            numbers: 64,
            ..FLOWS
        };
        let mut counts = [0_u32; 64];
        let mut state = traffic.state;
        for _ in 0..64_000 {
            counts[traffic.number(state) as usize] += 1;
            state = traffic.next(state);
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
