// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses, one type for each space.
//!
//! Mercury's nested map is the identity, so a guest physical address and the
//! host physical address behind it are usually the same number. That makes it
//! easy to pass the one for the other where the hole makes them differ, and so
//! they are two types. A [`GuestPhysical`] that came from the guest is an
//! allegation: it says nothing about what lies there.

/// Bytes in the smallest page, the unit of everything that is lent.
pub const PAGE_SIZE: u64 = 4096;

/// An address on the machine's bus, as page tables of the host name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct HostPhysical(pub u64);

/// An address that the guest believes to be physical (GPA, on ARM IPA).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct GuestPhysical(pub u64);

impl HostPhysical {
    /// The start of the page that the address lies in.
    #[must_use]
    pub const fn page(self) -> Self {
        Self(self.0 & !(PAGE_SIZE - 1))
    }
}

impl GuestPhysical {
    /// The start of the page that the address lies in.
    #[must_use]
    pub const fn page(self) -> Self {
        Self(self.0 & !(PAGE_SIZE - 1))
    }
    /// The host physical address of the same number.
    #[must_use]
    pub const fn identity(self) -> HostPhysical {
        HostPhysical(self.0)
    }
}

/// A half-open range of guest physical addresses, `start < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestRange {
    start: u64,
    end: u64,
}

impl GuestRange {
    /// A range, or nothing if it is empty or wraps around.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start < end {
            Some(Self { start, end })
        } else {
            None
        }
    }
    /// First address.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }
    /// First address beyond.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }
    /// The range grown to multiples of `size`, a power of two. Saturates at
    /// the last multiple below 2^64.
    #[must_use]
    pub const fn grown_to(self, size: u64) -> Self {
        let start = self.start & !(size - 1);
        let end = match self.end.checked_add(size - 1) {
            Some(end) => end & !(size - 1),
            None => !(size - 1),
        };
        Self { start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_never_empty() {
        assert_eq!(GuestRange::new(5, 5), None);
        assert_eq!(GuestRange::new(6, 5), None);
    }

    #[test]
    fn growing_covers_and_saturates() {
        let range = GuestRange::new(0x9fc01, 0x10_0001).unwrap();
        let grown = range.grown_to(0x20_0000);
        assert_eq!((grown.start(), grown.end()), (0, 0x20_0000));
        let top = GuestRange::new(u64::MAX - 5, u64::MAX).unwrap();
        assert_eq!(top.grown_to(4096).end(), !4095);
    }
}
