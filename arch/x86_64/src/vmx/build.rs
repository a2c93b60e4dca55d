// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the live CPU to a guest that goes on as that CPU (SDM volume 3, 24.4 to
//! 24.8).
//!
//! Every value of the guest's is the CPU's own: it continues with the registers
//! that the kernel had one instruction before. Bits of CR0 and CR4 that VMX
//! operation insists on are set, masked and shadowed: the guest reads what it
//! wrote. The host's fields are the image: its page tables, its descriptor
//! tables, this CPU's TSS.
#![expect(unsafe_code, reason = "reads registers, fills the list of counters")]

use core::ptr;

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Level;
use x86::vmx::vmcs::control;
use x86::vmx::vmcs::guest;
use x86::vmx::vmcs::host;

use super::State;
use super::capabilities::Capabilities;
use super::capabilities::Controls;
use super::capabilities::PCONFIG;
use super::ept;
use super::field;
use super::field::write;
use super::run;
use crate::instruction;
use crate::mutant;
use crate::mutant::Mutant;
use crate::pad::Pad;
use crate::registers;
use crate::segment::SegmentState;
use crate::snapshot::Snapshot;
use crate::tables;

/// The tag of our one guest's translations. 0 is the host's.
const TAG: u64 = 1;
/// CR0.PE and CR0.PG, which an unrestricted guest may clear.
const FREE_IN_CR0: u64 = 1 | registers::CR0_PG;
/// Leaves of PCONFIG that exit (24.6.21); the `x86` crate has no name for it.
const PCONFIG_EXITING_BITMAP: u32 = 0x203e;
/// CR4.OSXSAVE: XSETBV on behalf of the guest, and what CPUID says.
const CR4_OSXSAVE: u64 = 1 << 18;

/// Where things of this CPU are.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// Root of the nested map.
    pub root: HostPhysical,
    /// Its level.
    pub root_level: Level,
    /// The map of intercepted registers.
    pub register_map: HostPhysical,
    /// The image's page tables, as CR3 has them.
    pub host_root: u64,
    /// This CPU's TSS, virtual.
    pub task: u64,
    /// The image's GDT and IDT, virtual.
    pub tables: [u64; 2],
    /// A page of this CPU's for lists of registers: virtual, physical.
    pub lists: [u64; 2],
}

/// Fills the current VMCS for a guest that goes on where the snapshot was taken.
#[must_use]
pub fn build(
    native: &Snapshot,
    pad: &Pad,
    controls: Controls,
    capabilities: Capabilities,
    places: Places,
    mutant: u64,
) -> State {
    let masks = [capabilities.cr0_ones & !FREE_IN_CR0, capabilities.cr4_ones];
    let state = State {
        primary: controls.primary,
        pointer: ept::pointer(places.root, places.root_level),
        held: 0,
        masks,
        counters: counters(places.lists),
        fault_address: native.cr2,
    };
    build_controls(controls, &state, places, mutant);
    build_guest(native, pad, masks);
    build_host(native, places);
    state
}

fn build_controls(controls: Controls, state: &State, places: Places, mutant: u64) {
    const TSC_OFFSETTING: u32 = 1 << 3;
    let late = mutant::active(mutant, Mutant::TimeStampOffset);
    let primary = controls.primary | if late { TSC_OFFSETTING } else { 0 };
    for (number, value) in [
        (control::PINBASED_EXEC_CONTROLS, controls.pin),
        (control::PRIMARY_PROCBASED_EXEC_CONTROLS, primary),
        (
            control::SECONDARY_PROCBASED_EXEC_CONTROLS,
            controls.secondary,
        ),
        (control::VMEXIT_CONTROLS, controls.exit),
        (control::VMENTRY_CONTROLS, controls.entry),
        (control::EXCEPTION_BITMAP, 0),
        (control::PAGE_FAULT_ERR_CODE_MASK, 0),
        (control::PAGE_FAULT_ERR_CODE_MATCH, 0),
        (control::CR3_TARGET_COUNT, 0),
        (control::VMENTRY_INTERRUPTION_INFO_FIELD, 0),
        (control::VMEXIT_MSR_STORE_COUNT, u32::from(state.counters)),
        (control::VMEXIT_MSR_LOAD_COUNT, u32::from(state.counters)),
        (control::VMENTRY_MSR_LOAD_COUNT, u32::from(state.counters)),
    ] {
        write(number, u64::from(value));
    }
    write(control::VMEXIT_MSR_STORE_ADDR_FULL, places.lists[1]);
    write(control::VMENTRY_MSR_LOAD_ADDR_FULL, places.lists[1]);
    write(control::VMEXIT_MSR_LOAD_ADDR_FULL, places.lists[1] + 16);
    write(control::MSR_BITMAPS_ADDR_FULL, places.register_map.0);
    write(control::EPTP_FULL, state.pointer);
    write(control::VPID, TAG);
    write(control::XSS_EXITING_BITMAP_FULL, 0);
    if controls.secondary & PCONFIG != 0 {
        write(PCONFIG_EXITING_BITMAP, 0);
    }
    let offset = if late { (1u64 << 32).wrapping_neg() } else { 0 };
    write(control::TSC_OFFSET_FULL, offset);
    write(control::CR0_GUEST_HOST_MASK, state.masks[0]);
    write(control::CR4_GUEST_HOST_MASK, state.masks[1]);
}

/// A system segment (LDTR, TR) from both halves of its descriptor.
fn system(pad: &Pad, which: usize) -> SegmentState {
    let segment = pad.segments[2 + which];
    if segment.selector & !3 == 0 {
        return SegmentState {
            selector: segment.selector as u16,
            ..SegmentState::default()
        };
    }
    let mut state = SegmentState::from_descriptor(segment);
    state.base |= pad.high[which] << 32;
    state
}

fn build_guest(native: &Snapshot, pad: &Pad, masks: [u64; 2]) {
    field::CS.write(native.cs);
    field::SS.write(native.ss);
    field::DS.write(native.ds);
    field::ES.write(native.es);
    for (fields, segment, base) in [
        (field::FS, pad.segments[0], x86::msr::IA32_FS_BASE),
        (field::GS, pad.segments[1], x86::msr::IA32_GS_BASE),
    ] {
        let mut state = SegmentState::from_descriptor(segment);
        state.base = instruction::read_known_msr(base);
        fields.write(state);
    }
    field::LDTR.write(system(pad, 0));
    field::TR.write(system(pad, 1));
    let debug_control = {
        // SAFETY: the exception table is in force: this is the image.
        unsafe { instruction::try_read_msr(x86::msr::IA32_DEBUGCTL) }
    };
    let sysenter = instruction::read_known_msr;
    for (number, value) in [
        (guest::GDTR_BASE, native.gdtr.base),
        (guest::GDTR_LIMIT, u64::from(native.gdtr.limit)),
        (guest::IDTR_BASE, native.idtr.base),
        (guest::IDTR_LIMIT, u64::from(native.idtr.limit)),
        (guest::CR0, native.cr0 | masks[0]),
        (guest::CR3, native.cr3),
        (guest::CR4, native.cr4 | masks[1]),
        (control::CR0_READ_SHADOW, native.cr0),
        (control::CR4_READ_SHADOW, native.cr4),
        (guest::DR7, native.dr7),
        (guest::RSP, native.rsp),
        (guest::RIP, native.rip),
        (guest::RFLAGS, native.rflags),
        (guest::IA32_EFER_FULL, native.efer),
        (guest::IA32_PAT_FULL, native.pat),
        (guest::IA32_DEBUGCTL_FULL, debug_control.unwrap_or(0)),
        (
            guest::IA32_SYSENTER_CS,
            sysenter(x86::msr::IA32_SYSENTER_CS),
        ),
        (
            guest::IA32_SYSENTER_ESP,
            sysenter(x86::msr::IA32_SYSENTER_ESP),
        ),
        (
            guest::IA32_SYSENTER_EIP,
            sysenter(x86::msr::IA32_SYSENTER_EIP),
        ),
        (guest::INTERRUPTIBILITY_STATE, 0),
        (guest::ACTIVITY_STATE, 0),
        (guest::PENDING_DBG_EXCEPTIONS, 0),
        (guest::LINK_PTR_FULL, u64::MAX),
    ] {
        write(number, value);
    }
}

fn build_host(native: &Snapshot, places: Places) {
    // XSETBV is carried out here, and CPUID asked here.
    const HAS_XSAVE: u32 = 1 << 26;
    let xsave = if instruction::identify(1, 0)[2] & HAS_XSAVE != 0 {
        CR4_OSXSAVE
    } else {
        0
    };
    for (number, value) in [
        (host::CR0, instruction::read_cr0()),
        (host::CR3, places.host_root),
        (host::CR4, instruction::read_cr4() | xsave),
        (host::CS_SELECTOR, u64::from(tables::CODE)),
        (host::SS_SELECTOR, u64::from(tables::DATA)),
        (host::DS_SELECTOR, 0),
        (host::ES_SELECTOR, 0),
        (host::FS_SELECTOR, 0),
        (host::GS_SELECTOR, 0),
        (host::TR_SELECTOR, u64::from(tables::TASK)),
        (host::FS_BASE, 0),
        (host::GS_BASE, 0),
        (host::TR_BASE, places.task),
        (host::GDTR_BASE, places.tables[0]),
        (host::IDTR_BASE, places.tables[1]),
        (host::IA32_SYSENTER_CS, 0),
        (host::IA32_SYSENTER_ESP, 0),
        (host::IA32_SYSENTER_EIP, 0),
        (host::IA32_EFER_FULL, native.efer),
        (host::IA32_PAT_FULL, native.pat),
        (host::RIP, run::exit_address()),
    ] {
        write(number, value);
    }
}

/// PERF_GLOBAL_CTRL, on CPUs that have it: what the guest counts must not count
/// the image, and what it wrote there comes back at the entry. One list with the
/// guest's value, stored at the exit and loaded at the entry, one with 0 for the
/// host (24.7.2, 24.8.2).
fn counters([at, _]: [u64; 2]) -> bool {
    const REGISTER: u32 = 0x38f;
    let has = instruction::identify(0, 0)[0] >= 0xa && instruction::identify(0xa, 0)[0] & 0xff >= 2;
    if !has {
        return false;
    }
    let value = instruction::read_known_msr(REGISTER);
    let lists = [u64::from(REGISTER), value, u64::from(REGISTER), 0];
    let page = ptr::with_exposed_provenance_mut::<[u64; 4]>(at as usize);
    // SAFETY: the page is this CPU's, mapped, and for this.
    unsafe { page.write_volatile(lists) };
    true
}
