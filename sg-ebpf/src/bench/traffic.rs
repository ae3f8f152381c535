//! Traffic of the benchmark: one frame becomes many by its remote end, which is made of a number.
//!
//! The benchmark's programs write the end into the frame and judge it; user space, which chooses
//! the numbers, knows from the same function what was judged.

/// Which numbers come, and what is made of them. A map value; the programs write `state`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Traffic {
    /// Random state, never 0, or the next number when they come in order.
    pub(crate) state: u64,
    /// Every number is below this one; 0 = the frame stays as it is.
    pub(crate) numbers: u32,
    /// 1 = the numbers come in order and over again, 0 = at random.
    pub(crate) in_order: u32,
    /// Offset in the frame of the four bytes of the address that vary.
    pub(crate) address_at: u32,
    /// These bytes for number 0.
    pub(crate) first_address: u32,
    /// What is added to them for the next address.
    pub(crate) address_step: u32,
    /// Ports that each address has, a power of two; 1 = the port stays as it is.
    pub(crate) ports: u32,
    /// Offset in the frame of the port.
    pub(crate) port_at: u32,
    /// The port for number 0.
    pub(crate) first_port: u32,
}

/// The remote end of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RemoteEnd {
    /// The four bytes of the address that vary, as a number.
    pub(crate) address: u32,
    /// The port, `None` = as it is.
    pub(crate) port: Option<u16>,
}

impl Traffic {
    /// The number of a state.
    #[inline(always)]
    pub(crate) const fn number(&self, state: u64) -> u32 {
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
    pub(crate) const fn next(&self, state: u64) -> u64 {
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
    pub(crate) const fn end(&self, number: u32) -> RemoteEnd {
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
