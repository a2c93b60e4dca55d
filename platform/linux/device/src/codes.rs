// SPDX-License-Identifier: MIT OR Apache-2.0
//! The enumerations of the contract, open to values of the future.
//!
//! Each has a variant `Unknown` for codes that this version does not know: a
//! newer module may say more than we understand, and then the number is shown
//! instead of an error. The names are those of the JSON output and are stable.

macro_rules! codes {
    ($($(#[$doc:meta])* $type:ident ($prefix:literal) {
        $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $name:literal, $c:literal;)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub enum $type {
                $($(#[$variant_doc])* $variant,)*
                /// A code that this version does not know.
                Unknown(u32),
            }

            impl $type {
                /// Every value this version knows, in the order of their codes.
                pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

                /// What the code stands for.
                #[must_use]
                pub const fn from_code(code: u32) -> Self {
                    match code { $($code => Self::$variant,)* other => Self::Unknown(other) }
                }

                /// The number in the contract.
                #[must_use]
                pub const fn code(self) -> u32 {
                    match self { $(Self::$variant => $code,)* Self::Unknown(other) => other }
                }

                /// The stable name, as it stands in JSON; `None` if unknown.
                #[must_use]
                pub const fn name(self) -> Option<&'static str> {
                    match self { $(Self::$variant => Some($name),)* Self::Unknown(_) => None }
                }
            }

            impl core::fmt::Display for $type {
                fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    match self.name() {
                        Some(name) => formatter.pad(name),
                        None => formatter.pad(&format!("unknown-{}", self.code())),
                    }
                }
            }
        )*

        /// The enumerators beside their names in C, for the test of agreement.
        pub(crate) const ENUMERATORS: &[(&str, u32)] =
            &[$($((concat!($prefix, $c), $code),)*)*];
    };
}

codes! {
    /// Something that must hold before Mercury may do what was asked.
    Requirement ("MERCURY_REQUIREMENT_") {
        /// No requirement.
        None = 0, "none", "NONE";
        /// CPUID names the virtualization extension.
        Extension = 1, "extension", "EXTENSION";
        /// The firmware left it usable.
        Enabled = 2, "extension-enabled", "ENABLED";
        /// Nobody uses it.
        Free = 3, "extension-free", "FREE";
        /// The CPU has nested paging.
        Stage2 = 4, "stage2", "STAGE2";
        /// Memory is not encrypted.
        PlainMemory = 5, "plain-memory", "PLAIN_MEMORY";
        /// The caller has both capabilities.
        Privilege = 6, "privilege", "PRIVILEGE";
        /// The kernel is not locked down.
        Lockdown = 7, "lockdown", "LOCKDOWN";
        /// The image exists.
        ImageFound = 8, "image-found", "IMAGE_FOUND";
        /// The image is complete.
        ImageWhole = 9, "image-whole", "IMAGE_WHOLE";
        /// The image is for this architecture.
        ImageArchitecture = 10, "image-architecture", "IMAGE_ARCHITECTURE";
        /// The image speaks the module's version of the contract.
        ImageAbi = 11, "image-abi", "IMAGE_ABI";
        /// The image is the one that the module was built with.
        ImageHash = 12, "image-hash", "IMAGE_HASH";
        /// The kernel lent the pages asked for.
        Memory = 13, "memory", "MEMORY";
        /// Not attached yet.
        Native = 14, "native", "NATIVE";
        /// Attached.
        Attached = 15, "attached", "ATTACHED";
        /// No other switch under way.
        Idle = 16, "idle", "IDLE";
        /// The image built its tables.
        Prepare = 17, "prepare", "PREPARE";
        /// Every CPU entered.
        Entry = 18, "entry", "ENTRY";
        /// Every CPU came to the door in time.
        Arrival = 19, "arrival", "ARRIVAL";
        /// No signal before the seal.
        Uninterrupted = 20, "uninterrupted", "UNINTERRUPTED";
        /// The isolation was sealed.
        Seal = 21, "seal", "SEAL";
        /// CPU vendor, paging mode and so on are ones we know.
        Supported = 22, "supported", "SUPPORTED";
        /// There is a store.
        Guarded = 23, "guarded", "GUARDED";
        /// Linux came to rest.
        Quiet = 24, "quiet", "QUIET";
        /// The image took the checkpoint, or went back to it.
        Checkpoint = 25, "checkpoint", "CHECKPOINT";
    }

    /// What became of a requirement.
    Outcome ("MERCURY_OUTCOME_") {
        /// It does not hold.
        Fail = 0, "fail", "FAIL";
        /// It holds.
        Pass = 1, "pass", "PASS";
        /// It could not be evaluated now.
        Undecided = 2, "unknown", "UNKNOWN";
    }

    /// The machine's state, as its CPUs answered.
    State ("MERCURY_STATE_") {
        /// No CPU is a guest.
        Native = 0, "native", "NATIVE";
        /// Every online CPU answered as a guest.
        Attached = 1, "attached", "ATTACHED";
        /// Some did and some did not.
        Mixed = 2, "mixed", "MIXED";
        /// An attach or detach is under way; nobody was asked.
        Switching = 3, "switching", "SWITCHING";
    }

    /// One CPU's state.
    CpuState ("MERCURY_CPU_") {
        /// It answered natively.
        Native = 0, "native", "NATIVE";
        /// It answered as a guest.
        Attached = 1, "attached", "ATTACHED";
        /// It is offline.
        Offline = 2, "offline", "OFFLINE";
        /// It did not answer before the deadline.
        Silent = 3, "silent", "SILENT";
    }

    /// Why a CPU came out of the guest.
    ExitReason ("MERCURY_EXIT_") {
        /// A hypercall from kernel mode.
        Hypercall = 0, "hypercall", "HYPERCALL";
        /// A hypercall from user mode or of an unknown number.
        HypercallRefused = 1, "hypercall-refused", "HYPERCALL_REFUSED";
        /// A read of a model-specific register.
        RegisterRead = 2, "register-read", "REGISTER_READ";
        /// A write of one.
        RegisterWrite = 3, "register-write", "REGISTER_WRITE";
        /// A fault on an address not named by iomem, mapped at once.
        Stage2Mapped = 4, "stage2-mapped", "STAGE2_MAPPED";
        /// A store to Mercury's frames, dropped.
        HoleStore = 5, "hole-store", "HOLE_STORE";
        /// An access to Mercury's frames, answered by a fault.
        HoleRefused = 6, "hole-refused", "HOLE_REFUSED";
        /// A virtualization instruction of the guest's.
        Virtualization = 7, "virtualization", "VIRTUALIZATION";
        /// CPUID where the hardware cannot let it pass.
        Identification = 8, "identification", "IDENTIFICATION";
        /// A triple fault.
        Reset = 9, "reset", "RESET";
        /// NMI, INIT or SIPI.
        Interrupt = 10, "interrupt", "INTERRUPT";
        /// Anything else.
        Other = 11, "other", "OTHER";
    }

    /// What is to be done about the store.
    GuardAction ("MERCURY_GUARD_") {
        /// Nothing: how it stands.
        Status = 0, "status", "STATUS";
        /// There is to be one.
        On = 1, "on", "ON";
        /// There is to be none.
        Off = 2, "off", "OFF";
        /// The checkpoint is given up, the store stays.
        GiveUp = 3, "give-up", "GIVE_UP";
    }

    /// Why a machine was rolled back.
    Cause ("MERCURY_CAUSE_") {
        /// The kernel panicked.
        Panic = 1, "panic", "PANIC";
        /// Somebody asked for it.
        Asked = 2, "asked", "ASKED";
        /// A triple fault.
        Shutdown = 3, "shutdown", "SHUTDOWN";
    }

    /// Which step a sample measured.
    SampleKind ("MERCURY_SAMPLE_") {
        /// IRQs off to IRQs on, one CPU, going in.
        AttachBlackout = 0, "attach-blackout", "ATTACH_BLACKOUT";
        /// The same, going out.
        DetachBlackout = 1, "detach-blackout", "DETACH_BLACKOUT";
        /// One preparation step inside the image.
        PrepareBlackout = 2, "prepare-blackout", "PREPARE_BLACKOUT";
        /// A CPU that was in, leaving because another failed.
        UndoBlackout = 3, "undo-blackout", "UNDO_BLACKOUT";
        /// The whole call, attach.
        AttachCall = 4, "attach-call", "ATTACH_CALL";
        /// The whole call, detach.
        DetachCall = 5, "detach-call", "DETACH_CALL";
        /// Start of the first blackout to end of the last, attach.
        AttachSwitch = 6, "attach-switch", "ATTACH_SWITCH";
        /// The same, detach.
        DetachSwitch = 7, "detach-switch", "DETACH_SWITCH";
    }
}

impl Requirement {
    /// Whether this can only be known by trying to attach: `check` cannot
    /// evaluate it, and when it fails everything was undone.
    #[must_use]
    pub const fn only_by_trying(self) -> bool {
        matches!(
            self,
            Self::Prepare
                | Self::Entry
                | Self::Arrival
                | Self::Uninterrupted
                | Self::Seal
                | Self::Guarded
                | Self::Quiet
                | Self::Checkpoint
        )
    }
}

/// Who wrote a record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The hypervisor image.
    Image,
    /// The kernel module.
    Module,
    /// A code that this version does not know.
    Unknown(u8),
}

impl Origin {
    /// What the code stands for.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Image,
            1 => Self::Module,
            other => Self::Unknown(other),
        }
    }

    /// The stable name, as it stands in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Module => "module",
            Self::Unknown(_) => "unknown",
        }
    }
}
