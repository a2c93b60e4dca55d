// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Rust mirror of `mercury_abi.h`, field by field and in its order.
//!
//! The structures are made by one macro that also writes down their layout
//! ([`LAYOUTS`]), so the test that holds both languages together
//! (`abi_agreement` in `tests/host`) cannot forget a field: the header names
//! all its padding, hence the fields listed here must cover the structure
//! without a gap. The codes of the enumerations stand in `codes.rs`.

use core::marker::PhantomData;
use core::mem::{offset_of, size_of};

/// The version of the contract that this crate was built with.
pub const VERSION: u32 = 1;

/// `MERCURY_ATTACH_DRY_RUN`: everything up to the first entry, then undo.
pub const ATTACH_DRY_RUN: u32 = 1;

/// `MERCURY_EXIT_REASONS`: room in the array of exit counts.
pub const EXIT_REASONS: usize = 16;

/// The `cpu` of a sample or a record that is not of one CPU.
pub const NO_CPU: u32 = u32::MAX;

/// A value whose bits are all zero, without `unsafe` and for arrays of any length.
pub trait Zero {
    /// All bits zero.
    const ZERO: Self;
}

macro_rules! zero_integers {
    ($($integer:ty),*) => { $(impl Zero for $integer { const ZERO: Self = 0; })* };
}
zero_integers!(u8, u16, u32, u64, i32);

impl<T: Zero, const N: usize> Zero for [T; N] {
    const ZERO: Self = [T::ZERO; N];
}

/// Where one field lies.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name, the same in C and in Rust.
    pub name: &'static str,
    /// Bytes from the start of the structure.
    pub offset: usize,
    /// Its length in bytes.
    pub size: usize,
}

/// How one structure lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The structure's name in C, without `struct`.
    pub name: &'static str,
    /// Its length in bytes.
    pub size: usize,
    /// Its fields in order.
    pub fields: &'static [Field],
}

macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident = $c:literal { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[allow(missing_docs, reason = "the header documents every field")]
            #[derive(Clone, Copy, Debug)]
            #[repr(C)]
            pub struct $name { $(pub $field: $type,)* }

            impl Zero for $name {
                const ZERO: Self = Self { $($field: <$type as Zero>::ZERO,)* };
            }
        )*

        /// The layout of every structure above.
        pub const LAYOUTS: &[Layout] = &[$(Layout {
            name: $c,
            size: size_of::<$name>(),
            fields: &[$(Field {
                name: stringify!($field),
                offset: offset_of!($name, $field),
                size: size_of::<$type>(),
            },)*],
        },)*];
    };
}

structures! {
    /// What was read for one requirement and whether it holds.
    Verdict = "mercury_verdict" {
        requirement: u32, outcome: u32, cpu: i32, error: i32,
        read: u64, expected: u64, mask: u64, detail: [u8; 88],
    }
    /// What the module is.
    Info = "mercury_info" {
        abi: u32, testing: u32, architecture: [u8; 16], backend: [u8; 16],
        image_name: [u8; 64], image_sha256: [u8; 32], version: [u8; 32], tsc_khz: u64,
    }
    /// Every requirement, nothing changed.
    Check = "mercury_check" {
        abi: u32, capacity: u32, count: u32, failed: u32, verdicts: u64,
    }
    /// Attach.
    Attach = "mercury_attach" {
        abi: u32, flags: u32, rope_seconds: u32, reserved: u32, refusal: Verdict,
    }
    /// Detach and keep.
    Request = "mercury_request" {
        abi: u32, flags: u32, refusal: Verdict,
    }
    /// One CPU's answer.
    CpuStatus = "mercury_cpu_status" {
        cpu: u32, state: u32, exits: [u64; EXIT_REASONS], entries: u64, why: u32, reserved: u32,
    }
    /// What every CPU answered, and what is held of the kernel.
    Status = "mercury_status" {
        abi: u32, state: u32, cpus_possible: u32, cpus_online: u32,
        cpu_capacity: u32, cpu_count: u32, rope_seconds_left: u32, stage2_levels: u32,
        cpus: u64,
        image_bytes: u64, per_cpu_bytes: u64, host_table_bytes: u64, stage2_bytes: u64,
        shared_bytes: u64, spare_bytes: u64, lent_bytes: u64,
        leaves_1g: u64, leaves_2m: u64, leaves_4k: u64, mapped_on_demand: u64,
        ledger_pages: u32, ledger_maps: u32, ledger_notifiers: u32, ledger_hotplug_states: u32,
        attaches: u64, detaches: u64, attaches_refused: u64, kept_bytes: u64,
    }
    /// A run of frames that are out of the guest's reach.
    FrameRange = "mercury_frame_range" {
        start: u64, pages: u64,
    }
    /// Where the hole is.
    Frames = "mercury_frames" {
        abi: u32, capacity: u32, count: u32, reserved: u32, ranges: u64,
    }
    /// One event.
    Record = "mercury_record" {
        sequence: u64, ticks: u64, event: u16, level: u8, origin: u8, cpu: u32,
        arguments: [u64; 5],
    }
    /// A piece of the log ring.
    Log = "mercury_log" {
        abi: u32, capacity: u32, count: u32, reserved: u32, from: u64, records: u64,
    }
    /// What one step cost.
    Sample = "mercury_sample" {
        sequence: u64, kind: u32, cpu: u32, begin: u64, end: u64,
    }
    /// A piece of the ring of samples.
    Samples = "mercury_samples" {
        abi: u32, capacity: u32, count: u32, reserved: u32, from: u64, samples: u64,
    }
    /// Whether a CPU is under a second stage.
    Proof = "mercury_proof" {
        abi: u32, cpu: u32, plain: u64, other: u64, read_flipped: u64, read_unmapped: u64,
        faults_raised: u64, answered: u32, reserved: u32,
    }
    /// Each exit in the log.
    Trace = "mercury_trace" {
        abi: u32, exits: u32,
    }
    /// The store, and what is in it.
    Guard = "mercury_guard" {
        abi: u32, action: u32, store_bytes: u64, needed_bytes: u64, room_pages: u64,
        kept_pages: u64, checkpoints: u64, rolled_back: u64, changed_pages: u64, crash_loop_milliseconds: u64,
        refusal: Verdict,
    }
    /// Take a checkpoint.
    Checkpoint = "mercury_checkpoint" {
        abi: u32, flags: u32, rolled_back: u64, number: u64, kept: u64, refusal: Verdict,
    }
    /// The record of the last roll-back.
    Retell = "mercury_retell" {
        abi: u32, capacity: u32, from: u64, words: u64,
    }
    /// What an exit costs.
    NullCalls = "mercury_null_calls" {
        abi: u32, cpu: u32, count: u32, answered: u32, ticks: u64,
    }
}

/// An entry of what is read from the record of a roll-back.
pub type Word = u64;

/// The number of an `ioctl`, tied to the type of its argument.
#[derive(Debug)]
pub struct Number<T> {
    ordinal: u8,
    argument: PhantomData<fn(&mut T)>,
}

impl<T> Clone for Number<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Number<T> {}

impl<T> Number<T> {
    const fn new(ordinal: u8) -> Self {
        Self {
            ordinal,
            argument: PhantomData,
        }
    }

    /// `_IOWR('m', ordinal, T)` as x86 and ARM encode it: direction in bits
    /// 30 and 31, the argument's length in 16 to 29, the letter in 8 to 15.
    #[must_use]
    pub const fn value(self) -> u32 {
        const {
            assert!(
                size_of::<T>() < 1 << 14,
                "an ioctl argument has 14 bits of length"
            )
        };
        (3 << 30) | ((size_of::<T>() as u32) << 16) | ((b'm' as u32) << 8) | self.ordinal as u32
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $type:ident = $ordinal:literal, $c:literal;)*) => {
        $($(#[$doc])* pub const $name: Number<$type> = Number::new($ordinal);)*

        /// The `ioctl` numbers beside their names in C.
        pub const NUMBERS: &[(&str, u32)] = &[$(($c, $name.value()),)*];
    };
}

numbers! {
    /// Never refused once the device is open.
    INFO: Info = 0x00, "MERCURY_IOC_INFO";
    /// Evaluates every requirement.
    CHECK: Check = 0x01, "MERCURY_IOC_CHECK";
    /// Attaches.
    ATTACH: Attach = 0x02, "MERCURY_IOC_ATTACH";
    /// Detaches.
    DETACH: Request = 0x03, "MERCURY_IOC_DETACH";
    /// Cuts the rope.
    KEEP: Request = 0x04, "MERCURY_IOC_KEEP";
    /// Asks every CPU.
    STATUS: Status = 0x05, "MERCURY_IOC_STATUS";
    /// Names the hole.
    FRAMES: Frames = 0x06, "MERCURY_IOC_FRAMES";
    /// Reads the log.
    LOG: Log = 0x07, "MERCURY_IOC_LOG";
    /// Reads the samples.
    SAMPLES: Samples = 0x08, "MERCURY_IOC_SAMPLES";
    /// Proves the second stage on one CPU.
    PROVE: Proof = 0x09, "MERCURY_IOC_PROVE";
    /// Measures empty hypercalls.
    NULL_CALLS: NullCalls = 0x0a, "MERCURY_IOC_NULL_CALLS";
    /// Records exits.
    TRACE: Trace = 0x10, "MERCURY_IOC_TRACE";
    /// The store: how it stands, on, off.
    GUARD: Guard = 0x11, "MERCURY_IOC_GUARD";
    /// Takes a checkpoint; returns again after a roll-back.
    CHECKPOINT: Checkpoint = 0x12, "MERCURY_IOC_CHECKPOINT";
    /// Goes back to it.
    ROLLBACK: Request = 0x13, "MERCURY_IOC_ROLLBACK";
    /// Reads the record of the last roll-back.
    RETELL: Retell = 0x14, "MERCURY_IOC_RETELL";
}

/// Every enumerator and constant beside its name in C.
#[must_use]
pub fn constants() -> Vec<(&'static str, u32)> {
    let mut all = vec![
        ("MERCURY_ABI_VERSION", VERSION),
        ("MERCURY_ATTACH_DRY_RUN", ATTACH_DRY_RUN),
        ("MERCURY_EXIT_REASONS", EXIT_REASONS as u32),
        (
            "MERCURY_REQUIREMENT_COUNT",
            crate::Requirement::ALL.len() as u32,
        ),
    ];
    all.extend_from_slice(crate::codes::ENUMERATORS);
    all
}
