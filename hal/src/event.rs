// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the log ring can say.
//!
//! A record is an event code and up to five numbers, never text: recording
//! one on the exit path costs eight stores, needs no formatting code in the
//! image, and cannot fail. The sentences stand here, once, and are put
//! together by whoever reads the ring (`mercury log`). `{0}` to `{4}` stand
//! for the arguments in hexadecimal, `{0d}` for decimal.

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something that should not happen did.
    Error = 1,
    /// The guest did something that was refused or answered otherwise than natively.
    Warning = 2,
    /// A step of a switch.
    Information = 3,
    /// Finer steps.
    Detail = 4,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $level:ident, $text:literal;)*) => {
        /// One kind of record; the number is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Event { $($(#[$doc])* $name = $code,)* }

        impl Event {
            /// All events, for tables and tests.
            pub const ALL: &'static [Event] = &[$(Event::$name,)*];

            /// The event of a code, if this version knows it.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Event::$name),)* _ => None }
            }
            /// How much it matters.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Event::$name => Level::$level,)* }
            }
            /// The sentence, with `{0}`..`{4}` for the arguments.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Event::$name => $text,)* }
            }
        }
    };
}

events! {
    /// The image's tables are built.
    Prepared = 1, Information, "prepared: {0d} frames lent, {1d} CPUs possible, physical addresses of {2d} bits";
    /// A CPU goes in.
    Entered = 2, Information, "cpu goes in as guest";
    /// A CPU could not go in and goes on natively.
    EntryFailed = 3, Error, "entry failed with code {0d} (hardware said {1}); the CPU goes on natively";
    /// All CPUs are in, the hole is closed.
    Sealed = 4, Information, "sealed: {0d} CPUs are guests, {1d} frames are out of their reach";
    /// A CPU left.
    Left = 5, Information, "cpu left and is native again";
    /// A CPU left before the seal, because another one failed.
    Undone = 6, Warning, "cpu was taken out again before the seal";
    /// A store to our frames.
    HoleStore = 7, Warning, "store of {1d} bytes to Mercury's frame at {0} dropped, instruction at {2}";
    /// An access to our frames answered by a fault.
    HoleRefused = 8, Warning, "access to Mercury's frame at {0} refused with a protection fault (access {1}, instruction at {2})";
    /// A fault on an address that was not mapped.
    MappedOnDemand = 9, Information, "address {0} was not in the nested map: mapped at once";
    /// A fault that could not be mapped.
    NotMapped = 10, Error, "address {0} could not be mapped (code {1d}); the guest got a protection fault";
    /// The guest used a virtualization instruction.
    VirtualizationRefused = 11, Warning, "virtualization instruction (exit {0}) at {1} answered with undefined opcode";
    /// The guest wrote a register that Mercury keeps.
    RegisterKept = 12, Detail, "write of {1} to register {0} kept from the hardware";
    /// The guest's register access faulted.
    RegisterFault = 13, Detail, "access to register {0} answered with a protection fault";
    /// A hypercall from user mode or of an unknown number.
    HypercallRefused = 14, Warning, "hypercall {0} refused (privilege level {1d})";
    /// An exit that nothing handles.
    UnknownExit = 15, Error, "exit {0} ({1}, {2}) at {3} is not known; answered with undefined opcode";
    /// Triple fault.
    Reset = 16, Error, "the guest shut down (triple fault) at {0}; the machine is reset";
    /// An exception in the hypervisor itself.
    HostException = 17, Error, "exception {0d} in the hypervisor, error {1}, at {2}, address {3}: it is dead";
    /// Microcode update while attached.
    MicrocodeRefused = 19, Warning, "microcode update refused while attached: detach first";
    /// Somebody asked for the mode that Mercury runs in.
    ModeRefused = 24, Warning, "request for the hypervisor's mode refused while attached (vectors at {0}, instruction at {1})";
    /// The guest wrote an MTRR.
    MemoryType = 30, Warning, "MTRR {0} was set to {1}: the nested map keeps the memory types of the attach until the next one";
    /// FEATURE_CONTROL was open.
    FeatureLocked = 31, Warning, "firmware had left FEATURE_CONTROL open: locked with VMX allowed, until the next reset";
    /// INIT came to a guest.
    Initialized = 32, Information, "cpu got INIT as guest, and waits to be started";
    /// SIPI came to a guest.
    Started = 33, Information, "cpu was started as guest by SIPI, at page {0}";
    /// The guest does not come on.
    Standstill = 21, Error, "the guest stands still: exit {0} at {1} for {2}, over and over ({3}, {4}): the hypervisor gives up";
    /// A panic in the hypervisor itself.
    HostPanic = 40, Error, "panic in the hypervisor, line {0d}, column {1d} of the file whose name is at {2}: it is dead";
    /// A CPU was freed from a dead image.
    Freed = 41, Warning, "cpu was freed from the dead hypervisor and is native again, at {0} (0: it was not a guest)";
    /// A CPU cannot be freed.
    NotFreed = 42, Error, "cpu cannot be freed from the dead hypervisor (it was {0d}; event {1}, shadow {2}): the machine is reset";
    /// Memory that is about to be used was mapped.
    Covered = 20, Information, "memory that is added at {0} was mapped up to {1}";

    /// Tracing is on, and a CPU came out of the guest.
    Exit = 50, Detail, "exit: reason {0d}, hypercall {1d} (-1: none)";

    /// A checkpoint was taken.
    CheckpointTaken = 51, Information, "checkpoint {0d} taken: {1d} pages kept, {2d} frames in the store";
    /// A checkpoint was refused.
    CheckpointRefused = 52, Error, "no checkpoint: error {0d}, {1d} pages to keep, room for {2d}";
    /// A roll-back begins.
    RollBackBegins = 53, Warning, "roll-back begins: cause {0d}, asked for by cpu {1d}";
    /// A roll-back was done.
    RolledBack = 54, Warning, "rolled back, number {0d}: {1d} of {2d} pages had changed, {3d} devices were taken off the memory";
    /// A roll-back was not possible.
    RollBackRefused = 55, Error, "no roll-back: error {0d}; the kernel goes on with what it was doing";
    /// A checkpoint was given up.
    CheckpointGivenUp = 56, Information, "checkpoint {0d} given up";

    /// Module: attach begins.
    AttachBegins = 64, Information, "attach begins: {0d} CPUs online, {1d} possible";
    /// Module: memory lent.
    Lent = 65, Detail, "{0d} pages lent in {1d} blocks, the largest of order {2d}";
    /// Module: attach done.
    AttachDone = 66, Information, "attached: {0d} CPUs";
    /// Module: attach refused.
    AttachRefused = 67, Error, "attach refused: requirement {0d}, cpu {1d}, errno {2d}, read {3}";
    /// Module: detach done.
    DetachDone = 68, Information, "detached: {0d} CPUs are native";
    /// Module: a CPU was attached by hot-plug.
    HotplugAttached = 69, Information, "cpu came online and was attached";
    /// Module: a CPU was detached by hot-plug.
    HotplugDetached = 70, Information, "cpu goes offline and was detached";
    /// Module: a CPU that came up could not be attached.
    HotplugFailed = 71, Error, "cpu came online and could not be attached (code {0d}): the machine is mixed";
    /// Module: detached for a power event.
    PowerDetach = 72, Information, "detached for power event {0d}";
    /// Module: attached again after a power event.
    PowerAttach = 73, Information, "attached again after power event {0d}";
    /// Module: a switch for a power event failed.
    PowerFailed = 74, Error, "the switch for power event {0d} failed (errno {1d})";
    /// Module: the rope was pulled.
    RopePulled = 75, Warning, "no `mercury keep` within {0d} seconds: detaching";
    /// Module: kept.
    Kept = 76, Information, "kept: will not detach by itself";
    /// Module: CPU did not come to the door.
    ArrivalLate = 77, Error, "cpu did not come to the door within {0d} ms";
    /// Module: dry run done.
    DryRun = 78, Information, "dry run: everything was built and taken down again";
    /// Module: memory was not let online.
    MemoryRefused = 79, Warning, "memory at {0} was not let online (error {1d}): no frame is left for the tables that would map it, or a switch is under way; detach first, or try again";
    /// Module: the image died, and everything it had was taken back.
    DeadDetached = 80, Warning, "the hypervisor had died on cpu {0d} ({1d} is the event in the log that says of what): all CPUs are native, and everything it had was taken back";
    /// Module: a CPU that should be a guest is native, because the image died.
    DiedNative = 81, Error, "the hypervisor died on cpu {0d} ({1d} is the event in the log that says of what): cpu was freed and is native";
}
