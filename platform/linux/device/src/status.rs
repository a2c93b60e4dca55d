// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `status` found: the machine's state, CPU by CPU, and what it costs.

use crate::abi;
use crate::codes::{CpuState, ExitReason, State};

/// Exits of one CPU by reason, since its last entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exits(pub [u64; abi::EXIT_REASONS]);

impl Exits {
    /// The count of one reason.
    #[must_use]
    pub fn of(&self, reason: ExitReason) -> u64 {
        self.0.get(reason.code() as usize).copied().unwrap_or(0)
    }

    /// All exits together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason known, and those unknown that are not zero.
    pub fn iter(&self) -> impl Iterator<Item = (ExitReason, u64)> + '_ {
        self.0.iter().enumerate().filter_map(|(index, &count)| {
            let reason = ExitReason::from_code(index as u32);
            (reason.name().is_some() || count != 0).then_some((reason, count))
        })
    }
}

/// One CPU's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuStatus {
    /// Which CPU.
    pub cpu: u32,
    /// What it answered.
    pub state: CpuState,
    /// Its exits since its last entry.
    pub exits: Exits,
    /// How often it went in since the machine was attached.
    pub entries: u64,
    /// Why it is native while others are guests: the code of a log event
    /// ([`crate::Event::from_code`]), 0 for no reason.
    pub why: u32,
}

impl From<&abi::CpuStatus> for CpuStatus {
    fn from(raw: &abi::CpuStatus) -> Self {
        Self {
            cpu: raw.cpu,
            state: CpuState::from_code(raw.state),
            exits: Exits(raw.exits),
            entries: raw.entries,
            why: raw.why,
        }
    }
}

/// Memory lent by the kernel, in bytes; all 0 when native.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The image.
    pub image: u64,
    /// Per-CPU state, all CPUs together.
    pub per_cpu: u64,
    /// The hypervisor's own page tables.
    pub host_tables: u64,
    /// The nested map's tables.
    pub stage2: u64,
    /// Log, maps of intercepted registers, zero page.
    pub shared: u64,
    /// Lent, not in use.
    pub spare: u64,
    /// The sum of all.
    pub lent: u64,
}

/// The nested map: leaves of each size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stage2 {
    /// Levels of the tables; 0 when native.
    pub levels: u32,
    /// Leaves of 1 GiB.
    pub leaves_1g: u64,
    /// Leaves of 2 MiB.
    pub leaves_2m: u64,
    /// Leaves of 4 KiB.
    pub leaves_4k: u64,
    /// Faults outside iomem, mapped at once.
    pub mapped_on_demand: u64,
}

/// What the module holds of the kernel now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Pages.
    pub pages: u32,
    /// Tables of the module's own, where it finds the doors.
    pub maps: u32,
    /// Notifiers.
    pub notifiers: u32,
    /// CPU hot-plug states.
    pub hotplug_states: u32,
}

impl Ledger {
    /// Whether nothing is held, as it must be after a detach.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Counts since the module was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Attaches that were sealed.
    pub attaches: u64,
    /// Detaches.
    pub detaches: u64,
    /// Attaches refused.
    pub attaches_refused: u64,
}

/// What every CPU answered, and what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The machine's state.
    pub state: State,
    /// CPUs that the kernel could ever have.
    pub cpus_possible: u32,
    /// CPUs online now.
    pub cpus_online: u32,
    /// Each possible CPU.
    pub cpus: Vec<CpuStatus>,
    /// Seconds until the rope is pulled; `None` without a rope.
    pub rope_seconds_left: Option<u32>,
    /// Memory lent.
    pub memory: Memory,
    /// The nested map.
    pub stage2: Stage2,
    /// What the module holds.
    pub ledger: Ledger,
    /// Counts since loading.
    pub totals: Totals,
    /// Bytes of the module's own copy of the image's file, which it keeps
    /// attached or not as it keeps its own text; 0 if none was found yet.
    pub kept_image: u64,
}

impl Status {
    pub(crate) fn new(raw: &abi::Status, cpus: &[abi::CpuStatus]) -> Self {
        Self {
            state: State::from_code(raw.state),
            cpus_possible: raw.cpus_possible,
            cpus_online: raw.cpus_online,
            cpus: cpus.iter().map(CpuStatus::from).collect(),
            rope_seconds_left: (raw.rope_seconds_left != 0).then_some(raw.rope_seconds_left),
            memory: Memory {
                image: raw.image_bytes,
                per_cpu: raw.per_cpu_bytes,
                host_tables: raw.host_table_bytes,
                stage2: raw.stage2_bytes,
                shared: raw.shared_bytes,
                spare: raw.spare_bytes,
                lent: raw.lent_bytes,
            },
            stage2: Stage2 {
                levels: raw.stage2_levels,
                leaves_1g: raw.leaves_1g,
                leaves_2m: raw.leaves_2m,
                leaves_4k: raw.leaves_4k,
                mapped_on_demand: raw.mapped_on_demand,
            },
            ledger: Ledger {
                pages: raw.ledger_pages,
                maps: raw.ledger_maps,
                notifiers: raw.ledger_notifiers,
                hotplug_states: raw.ledger_hotplug_states,
            },
            totals: Totals {
                attaches: raw.attaches,
                detaches: raw.detaches,
                attaches_refused: raw.attaches_refused,
            },
            kept_image: raw.kept_bytes,
        }
    }

    /// The CPUs that are online (every state but offline).
    pub fn online(&self) -> impl Iterator<Item = &CpuStatus> {
        self.cpus
            .iter()
            .filter(|cpu| cpu.state != CpuState::Offline)
    }
}
