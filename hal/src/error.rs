// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong inside the image.
//!
//! Everything here happens before the seal; after it nothing returns an error
//! (docs/architecture.md, "All or nothing"). The numbers go to the module as
//! the result of a door call and from there to the user in a verdict's `read`.

/// Why the image did not do what the module asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Error {
    /// The request's number is unknown to this image.
    UnknownRequest = 1,
    /// The parameters contradict themselves or the header.
    BadParameters = 2,
    /// More tables are needed than frames were lent: lend more and try again.
    FramesExhausted = 3,
    /// The request does not fit the phase (enter before prepare, seal twice).
    WrongPhase = 4,
    /// The CPU lacks a feature that the probe should have found.
    Unsupported = 5,
    /// Somebody took the extension between the probe and the entry.
    ExtensionTaken = 6,
    /// The hardware refused the guest state that was built.
    EntryRefused = 7,
    /// Not every CPU that was announced is a guest.
    NotAllIn = 8,
    /// An address that the request may not name.
    BadAddress = 9,
    /// A failure planted by a test.
    Injected = 10,
    /// A frame was asked for that the nested map holds in a way it should not.
    MapConflict = 11,
    /// The image died, on this CPU or on another: nothing is done any more.
    Died = 12,
    /// The store is too small for what is to be kept, or there is none.
    StoreTooSmall = 13,
    /// There is no checkpoint to go back to.
    NoCheckpoint = 14,
    /// What the store holds is not what was put in.
    StoreDamaged = 15,
    /// Other CPUs did not come in time.
    NotGathered = 16,
    /// It went back too often in too short a time.
    CrashLoop = 17,
}

impl Error {
    /// All of them, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::UnknownRequest,
        Self::BadParameters,
        Self::FramesExhausted,
        Self::WrongPhase,
        Self::Unsupported,
        Self::ExtensionTaken,
        Self::EntryRefused,
        Self::NotAllIn,
        Self::BadAddress,
        Self::Injected,
        Self::MapConflict,
        Self::Died,
        Self::StoreTooSmall,
        Self::NoCheckpoint,
        Self::StoreDamaged,
        Self::NotGathered,
        Self::CrashLoop,
    ];
}
