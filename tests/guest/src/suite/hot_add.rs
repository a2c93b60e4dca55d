// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hardware that comes while Mercury is attached: a module of memory, filled
//! and read again; PCI devices, used by their drivers through registers that
//! nobody knew of at the attach. All of it goes on working natively afterwards
//! and under the next attach. Memory that Mercury cannot map is not let online.

use crate::expect::{self, skip};
use crate::kernel_log::KernelLog;
use crate::workload::Workload;
use crate::{machine, rig};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Device, ExitReason, ProofVerdict, Status};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAGE: usize = 4096;
/// Of the new memory's pages so many in a hundred must have been used; the
/// kernel keeps some, its own page structures among them.
const LEAST_PERCENT: u64 = 90;
/// More is not filled: an emulator takes its time.
const MOST_KIB: u64 = 7 << 19;
/// Left to everybody else while nearly all memory is filled.
const RESERVE_KIB: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(300);

const BLOCKS: &str = "/sys/devices/system/memory";
const DEVICES: &str = "/sys/bus/pci/devices";

/// Waits for something to become true, as it does when an emulated machine and
/// a kernel's worker have had their turns.
fn until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        ensure!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn names(folder: &str) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {folder}"))?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Faults mapped at once are counted by the machine and by the CPUs alike.
fn counted(status: &Status) -> Result<u64> {
    let by_cpus: u64 = status
        .online()
        .map(|cpu| cpu.exits.of(ExitReason::Stage2Mapped))
        .sum();
    let all = status.stage2.mapped_on_demand;
    ensure!(
        by_cpus == all,
        "{all} leaves were mapped on demand, and the CPUs count {by_cpus} exits for it"
    );
    Ok(all)
}

/// The memory that came: first and last frame number, one beyond; and the
/// blocks of it that were not let online.
#[derive(Debug, Clone)]
struct Range {
    first: u64,
    end: u64,
    refused: Vec<String>,
}

impl Range {
    fn pages(&self) -> u64 {
        self.end - self.first
    }
}

/// Plugs in a module and switches its blocks on.
fn plug_memory(mib: u64) -> Result<Range> {
    let before = names(BLOCKS)?;
    rig::monitor(&format!(
        "object_add memory-backend-ram,id=backing,size={mib}M,reserve=off"
    ))?;
    rig::monitor("device_add pc-dimm,id=module,memdev=backing")?;
    let size = u64::from_str_radix(&machine::read(&format!("{BLOCKS}/block_size_bytes"))?, 16)?;
    let wanted = ((mib << 20) / size) as usize;
    let fresh = || -> Result<Vec<String>> {
        let now = names(BLOCKS)?;
        Ok(now
            .difference(&before)
            .filter(|name| name.starts_with("memory"))
            .cloned()
            .collect())
    };
    until("the new memory's blocks", || Ok(fresh()?.len() >= wanted))?;
    let (mut first, mut end, mut refused) = (u64::MAX, 0, Vec::new());
    for block in fresh()? {
        let index =
            u64::from_str_radix(&machine::read(&format!("{BLOCKS}/{block}/phys_index"))?, 16)?;
        first = first.min(index * size / PAGE as u64);
        end = end.max((index + 1) * size / PAGE as u64);
        if !switched_on(&block)? {
            refused.push(block);
        }
    }
    Ok(Range {
        first,
        end,
        refused,
    })
}

/// Switches a block on; whether it was let.
fn switched_on(block: &str) -> Result<bool> {
    let state = format!("{BLOCKS}/{block}/state");
    if machine::read(&state)? == "offline"
        && let Err(error) = fs::write(&state, "online")
    {
        ensure!(
            error.raw_os_error() == Some(libc::ENOMEM),
            "{block} was not let online: {error}"
        );
        return Ok(false);
    }
    ensure!(
        machine::read(&state)?.starts_with("online"),
        "{block} is not online"
    );
    Ok(true)
}

/// Nearly all of the machine's memory, each page with a pattern of its own in
/// some of its words: all of them would take an emulator half a minute.
struct Filled {
    words: Vec<u64>,
}

const WORDS: usize = PAGE / 8;
const STEP: usize = 73;

fn pattern(page: usize) -> u64 {
    (page as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Filled {
    fn fill() -> Result<Self> {
        let meminfo = machine::read("/proc/meminfo")?;
        let free: u64 = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemFree:")?.split_whitespace().next())
            .context("/proc/meminfo has no 'MemFree:'")?
            .parse()?;
        let pages = (free.saturating_sub(RESERVE_KIB).min(MOST_KIB) * 1024) as usize / PAGE;
        let mut words = vec![0; pages * WORDS];
        for (page, chunk) in words.chunks_exact_mut(WORDS).enumerate() {
            let value = pattern(page);
            for (at, word) in chunk.iter_mut().enumerate().step_by(STEP) {
                *word = value ^ at as u64;
            }
        }
        Ok(Self { words })
    }

    fn verify(&self) -> Result<()> {
        for (page, chunk) in self.words.chunks_exact(WORDS).enumerate() {
            let value = pattern(page);
            for (at, &word) in chunk.iter().enumerate().step_by(STEP) {
                ensure!(
                    word == value ^ at as u64,
                    "page {page} of the filled memory holds {word:#x} at {at}"
                );
            }
        }
        Ok(())
    }

    /// How many of its pages lie in the range, from the process' page map.
    fn inside(&self, range: &Range) -> Result<u64> {
        const PRESENT: u64 = 1 << 63;
        let map = File::open("/proc/self/pagemap").context("opening /proc/self/pagemap")?;
        let start = self.words.as_ptr().addr() / PAGE;
        let pages = self.words.len() / WORDS;
        let mut entries = vec![0u8; (pages + 1) * 8];
        map.read_exact_at(&mut entries, start as u64 * 8)?;
        let inside = entries.chunks_exact(8).filter(|entry| {
            let entry = entry
                .iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
            let frame = entry & ((1 << 55) - 1);
            entry & PRESENT != 0 && (range.first..range.end).contains(&frame)
        });
        Ok(inside.count() as u64)
    }
}

fn memory(device: &Device, mib: u64, too_much: bool) -> Result<()> {
    let range = plug_memory(mib)?;
    ensure!(
        range.refused.is_empty() != too_much,
        "{} blocks were refused: {:?}",
        range.refused.len(),
        range.refused
    );
    let filled = Filled::fill()?;
    filled.verify()?;
    let inside = filled.inside(&range)?;
    ensure!(
        too_much || inside * 100 >= range.pages() * LEAST_PERCENT,
        "{inside} pages of {} that came were used",
        range.pages()
    );
    let status = expect::attached(device)?;
    println!(
        "hot-add: {mib} MiB at {:#x}: {inside} of {} pages filled and right; {} blocks refused; {} leaves mapped on demand",
        range.first * PAGE as u64,
        range.pages(),
        range.refused.len(),
        counted(&status)?
    );
    expect::proven(device, ProofVerdict::Guest)?;
    // Its contents stay, natively and under a map that knows it from the start.
    expect::detach(device)?;
    filled.verify().context("after the detach")?;
    for block in &range.refused {
        ensure!(switched_on(block)?, "{block} was refused natively");
    }
    expect::attach(device)?;
    filled.verify().context("after the next attach")?;
    Ok(())
}

/// One new PCI device behind the slot, with its driver.
fn plug_device(slot: &str, driver: &str, modules: &[&str]) -> Result<String> {
    for module in modules {
        let modprobe = Command::new("modprobe").arg(module).status()?;
        ensure!(
            modprobe.success(),
            "modprobe {module} ended with {modprobe}"
        );
    }
    let before = names(DEVICES)?;
    rig::monitor(&format!("device_add {driver},id=in-{slot},bus={slot}"))?;
    let mut found = None;
    until("the new PCI device's driver", || {
        found = names(DEVICES)?.difference(&before).next().cloned();
        Ok(found
            .as_ref()
            .is_some_and(|name| Path::new(&format!("{DEVICES}/{name}/driver")).exists()))
    })?;
    found.context("the new PCI device is gone again")
}

fn unplug_device(slot: &str, name: &str) -> Result<()> {
    rig::monitor(&format!("device_del in-{slot}"))?;
    until("the PCI device to go", || {
        Ok(!Path::new(&format!("{DEVICES}/{name}")).exists())
    })
}

/// Where its registers are: memory ranges of /sys/.../resource.
fn registers(name: &str) -> Result<Vec<String>> {
    let lines = machine::read(&format!("{DEVICES}/{name}/resource"))?;
    let found: Vec<String> = lines
        .lines()
        .filter(|line| !line.starts_with("0x0000000000000000"))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect();
    ensure!(!found.is_empty(), "{name} has no registers in memory");
    Ok(found)
}

fn random_bytes() -> Result<()> {
    // The driver offers it a moment after it has taken the device.
    until("the random number generator", || {
        let current = machine::read("/sys/class/misc/hw_random/rng_current")?;
        Ok(current.starts_with("virtio"))
    })?;
    let mut bytes = vec![0; 16 << 10];
    File::open("/dev/hwrng")
        .context("opening /dev/hwrng")?
        .read_exact(&mut bytes)
        .context("reading /dev/hwrng")?;
    let different: BTreeSet<u8> = bytes.iter().copied().collect();
    ensure!(
        different.len() > 200,
        "16 KiB of random numbers hold {} different bytes",
        different.len()
    );
    Ok(())
}

/// The card's address comes out of its registers, its link's state by an
/// interrupt.
fn network(name: &str) -> Result<()> {
    let folder = format!("{DEVICES}/{name}/net");
    until("the network interface", || {
        Ok(Path::new(&folder).exists() && !names(&folder)?.is_empty())
    })?;
    let Some(interface) = names(&folder)?.into_iter().next() else {
        bail!("{name} has no network interface");
    };
    let address = machine::read(&format!("{folder}/{interface}/address"))?;
    ensure!(
        address.starts_with("52:54:00:"),
        "{interface} has the address {address}"
    );
    for state in ["up", "down"] {
        let ip = Command::new("ip")
            .args(["link", "set", &interface, state])
            .status()?;
        ensure!(ip.success(), "ip link set {interface} {state}: {ip}");
        if state == "up" {
            let carrier = format!("{folder}/{interface}/carrier");
            until("the link", || Ok(machine::read(&carrier)? == "1"))?;
        }
    }
    Ok(())
}

fn devices(device: &Device) -> Result<()> {
    let random = plug_device("slot1", "virtio-rng-pci", &["virtio-pci", "virtio-rng"])?;
    random_bytes()?;
    let card = plug_device("slot2", "e1000e", &["e1000e"])?;
    network(&card)?;
    let status = expect::attached(device)?;
    println!(
        "hot-add: virtio-rng at {}, e1000e at {}: used; {} leaves mapped on demand",
        registers(&random)?.join(" "),
        registers(&card)?.join(" "),
        counted(&status)?
    );
    expect::detach(device)?;
    random_bytes().context("after the detach")?;
    network(&card).context("after the detach")?;
    expect::attach(device)?;
    random_bytes().context("after the next attach")?;
    unplug_device("slot1", &random)?;
    unplug_device("slot2", &card)?;
    Ok(())
}

pub(crate) fn run(mib: u64, too_much: bool) -> Result<()> {
    let device = Device::open()?;
    if !Path::new(BLOCKS).exists() {
        return skip("this kernel cannot take memory in while it runs");
    }
    let mut log = KernelLog::from_here()?;
    let mut workload = Workload::start(&["churn-a".to_owned(), "pipes".to_owned()])?;
    expect::attach(&device)?;
    let outcome = memory(&device, mib, too_much).and_then(|()| devices(&device));
    let _ = device.detach();
    outcome?;
    expect::native(&device)?;
    workload.still_right()?;
    workload.finish()?;
    expect::proven(&device, ProofVerdict::Native)?;
    log.quiet()?;
    println!("hot-add: memory and PCI devices came while attached; workload right");
    Ok(())
}
