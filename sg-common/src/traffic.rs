//! Traffic of the benchmark: one frame becomes many by its remote end, which is made of a number.
//!
//! The benchmark's programs write the end into the frame and judge it; user space, which chooses
//! the numbers, knows from the same function what was judged.

/// Which numbers come, and what is made of them. A map value; the programs write `state`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Random state, never 0, or the next number when they come in order.
    pub state: u64,
    /// Every number is below this one; 0 = the frame stays as it is.
    pub numbers: u32,
    /// 1 = the numbers come in order and over again, 0 = at random.
    pub in_order: u32,
    /// Offset in the frame of the four bytes of the address that vary.
    pub address_at: u32,
    /// These bytes for number 0.
    pub first_address: u32,
    /// What is added to them for the next address.
    pub address_step: u32,
    /// Ports that each address has, a power of two; 1 = the port stays as it is.
    pub ports: u32,
    /// Offset in the frame of the port.
    pub port_at: u32,
    /// The port for number 0.
    pub first_port: u32,
}

/// The remote end of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemoteEnd {
    /// The four bytes of the address that vary, as a number.
    pub address: u32,
    /// The port, `None` = as it is.
    pub port: Option<u16>,
}

impl Traffic {
    /// Frames stay as they are.
    pub const NONE: Self = Self {
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

    /// The number of a state.
    #[inline(always)]
    pub const fn number(&self, state: u64) -> u32 {
        if self.in_order == 0 {
            // The upper bits of the multiplied state are the random ones (xorshift*).
            let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
            ((random * self.numbers as u64) >> 32) as u32
        } else {
            state as u32
        }
    }

    /// The state after a state.
    #[inline(always)]
    pub const fn next(&self, state: u64) -> u64 {
        if self.in_order == 0 {
            let mut next = state ^ (state >> 12);
            next ^= next << 25;
            next ^ (next >> 27)
        } else if state + 1 >= self.numbers as u64 {
            0
        } else {
            state + 1
        }
    }

    /// The remote end that is made of a number.
    #[inline(always)]
    pub const fn end(&self, number: u32) -> RemoteEnd {
        let nth = number >> (self.ports.trailing_zeros() & 31);
        let port = self
            .first_port
            .wrapping_add(number & self.ports.wrapping_sub(1)) as u16;
        RemoteEnd {
            address: self
                .first_address
                .wrapping_add(nth.wrapping_mul(self.address_step)),
            port: if self.ports > 1 { Some(port) } else { None },
        }
    }
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
