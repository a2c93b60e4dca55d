// SPDX-License-Identifier: MIT OR Apache-2.0
//! The door: how the module, running natively, calls into the image.
//!
//! There is one way in. The module's trampoline saves what it must, switches to
//! the page tables that it built, and jumps to the image's entry with the
//! address of this CPU's [`Door`] in the first argument register. Every call
//! comes back natively with a result but one: [`Operation::Enter`] comes back
//! as a guest. The C side is `platform/linux/module/mercury_door.h`, the same
//! structures with the same names; `tests/host` holds the two together.
//!
//! Layout of the image's address space (virtual, its own tables), from the start
//! of a window that is the architecture's:
//!
//! | at | what |
//! | --- | --- |
//! | 0 | the image: text, read-only data, data |
//! | [`CPU_OFFSET`] + n * [`CPU_STRIDE`] | CPU n: [`CPU_PAGES`] pages as in [`CPU_PAGE_SLOTS`], the slots between unmapped (guards) |
//! | [`FRAME_OFFSET`] + i * 4096 | lent frame i, if it is neither image nor CPU page nor the store's |
//! | [`PEEK_OFFSET`] + n * 4096 | CPU n's slot for one look at a guest page; behind the last CPU's [`SIGHTS`] slots for all memory |

/// Version of everything in this file. The image's header names it.
pub const DOOR_ABI: u32 = 3;
/// First bytes of an image: "MERCURY\0".
pub const IMAGE_MAGIC: u64 = 0x0059_5255_4352_454d;

/// From the window's start to the first CPU's area.
pub const CPU_OFFSET: u64 = 0x1000_0000;
/// Virtual distance between two CPUs' areas.
pub const CPU_STRIDE: u64 = 0x1_0000;
/// From the window's start to lent frame 0.
pub const FRAME_OFFSET: u64 = 0x2000_0000;
/// From the window's start to the first CPU's peek slot.
pub const PEEK_OFFSET: u64 = 0x3000_0000;

/// Slots for pages anywhere in memory, behind the CPUs' own.
pub const SIGHTS: u64 = 2;

/// Frames that a CPU has.
pub const CPU_PAGES: usize = 8;
/// In which page-sized slots of its area a CPU's frames are mapped: door and
/// state, guest control block, host control block, host save area, then, each
/// behind a guard page, three pages of stack and one of exception stack.
pub const CPU_PAGE_SLOTS: [u8; CPU_PAGES] = [0, 1, 2, 3, 5, 6, 7, 9];
/// First byte beyond the stack, from the start of a CPU's area.
pub const CPU_STACK_TOP: u64 = 8 * 4096;
/// First byte beyond the exception stack.
pub const CPU_EXCEPTION_STACK_TOP: u64 = 10 * 4096;
/// Most CPUs that fit between [`CPU_OFFSET`] and [`FRAME_OFFSET`].
pub const MAX_CPUS: usize = 4096;
/// Most blocks in which frames are lent.
pub const MAX_BLOCKS: usize = 240;

/// What the module asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Operation {
    /// Take the parameters in lent frame `arguments[0]`, begin anew.
    Prepare = 0,
    /// Map guest physical `arguments[0]..arguments[1]`; `[2]` = 1: it is RAM.
    Map = 1,
    /// Take every lent frame out of the guest's reach. Ends the preparation.
    Punch = 2,
    /// Make this CPU a guest. `arguments[0]`: injection of a test build.
    Enter = 3,
    /// Log record from sequence `arguments[0]` on, into `words`.
    Log = 4,
}

impl Operation {
    /// The operation of a number, if known.
    #[must_use]
    pub const fn decode(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Prepare),
            1 => Some(Self::Map),
            2 => Some(Self::Punch),
            3 => Some(Self::Enter),
            4 => Some(Self::Log),
            _ => None,
        }
    }
}

/// Words in [`Door::noted`].
pub const NOTED_WORDS: usize = 19;

/// One CPU's door; lies at the start of its area.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Door {
    /// In: [`Operation`].
    pub operation: u64,
    /// In: by operation.
    pub arguments: [u64; 4],
    /// Out: by operation.
    pub words: [u64; 8],
    /// Set up once: this structure's virtual address in the image's tables.
    pub own: u64,
    /// Set up once: value for the root-of-tables register.
    pub host_root: u64,
    /// Set up once: the image's entry, virtual.
    pub host_entry: u64,
    /// Set up once: virtual address of the trampoline's way out.
    pub way_out: u64,
    /// Set up once: which of the architecture's extensions is used, from 1.
    pub backend: u64,
    /// Written by the trampoline and the module on the way in: what the image
    /// cannot read itself any more. The meaning is the architecture's.
    pub noted: [u64; NOTED_WORDS],
    /// Set up once: host physical address of the second page of this CPU's area.
    pub control_block: u64,
    /// Set up once: this structure's virtual address in the kernel's tables.
    pub kernel: u64,
    /// Set up once: virtual address in the kernel of the last instructions of a
    /// CPU that is freed from a dead image (0: the image has them itself).
    pub way_free: u64,
    /// Set up once: virtual address in the kernel of the module's own hypercall
    /// instruction, three bytes long (0: its length does not matter).
    pub call_site: u64,
}

/// A block of physically contiguous lent frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Block {
    /// Host physical address of the first frame.
    pub start: u64,
    /// How many.
    pub pages: u64,
}

/// What the image is told once; fills one lent frame. Frames are numbered
/// through all blocks in order: first the image's, then the CPUs', then the
/// host's page tables, then those that are free.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Parameters {
    /// [`DOOR_ABI`].
    pub abi: u32,
    /// How many blocks are valid.
    pub block_count: u32,
    /// CPUs that have an area.
    pub cpus_possible: u32,
    /// Bits of a physical address, smallest over all CPUs.
    pub address_bits: u32,
    /// Frames of the image.
    pub image_frames: u32,
    /// First frame that is neither image, CPU page, host table nor this page.
    pub first_free: u32,
    /// Frames in all.
    pub frame_count: u32,
    /// 1: every CPU has 1-GiB leaves.
    pub huge_leaves: u32,
    /// Levels of the kernel's, the host's and so the nested tables: 4 or 5.
    pub levels: u32,
    /// Frames of [`Self::frame_count`], the last ones, that are the store.
    pub store_frames: u32,
    /// Guest physical addresses of the proof pages.
    pub proof_pages: [u64; 2],
    /// Frame of the first table that maps the peek slots, 512 CPUs a table;
    /// they follow each other.
    pub peek_table_frame: u64,
    /// Test build: which restore is left out (a mutant), 0 for none.
    pub mutant: u64,
    /// First page behind all memory.
    pub memory_end: u64,
    /// Ticks of the clock within which so many roll-backs are a loop
    /// (`core/src/guard/mod.rs`); 0: any number is none.
    pub crash_loop_ticks: u64,
    /// The blocks.
    pub blocks: [Block; MAX_BLOCKS],
}

/// The status word of a door call: 0, or an error's number.
pub const DOOR_OK: u64 = 0;

const _: () = assert!(core::mem::size_of::<Parameters>() <= 4096);
const _: () = assert!(core::mem::size_of::<Door>() <= 512);
