// SPDX-License-Identifier: MIT OR Apache-2.0
//! The landing pad, as the module's assembler sees it (`mercury_pad.h`) and as
//! the image does (`arch/x86_64/src/pad.rs`).

use std::collections::BTreeMap;
use std::mem::offset_of;

use mercury_host_tests::header::module;
use mercury_host_tests::header::text;
use mercury_x86::pad::DESCRIPTORS;
use mercury_x86::pad::GATES;
use mercury_x86::pad::PAD_OFFSET;
use mercury_x86::pad::Pad;
use mercury_x86::pad::WayOut;

#[test]
fn every_name_of_the_header_means_the_same() {
    let header = text(&module("x86/mercury_pad.h"));
    let theirs: BTreeMap<&str, usize> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define MERCURY_PAD_"))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name, value.trim().parse().unwrap()))
        .collect();
    let out = |offset| offset_of!(Pad, out) + offset;
    let ours = BTreeMap::from([
        ("OFFSET", PAD_OFFSET),
        ("GATES", GATES),
        ("DESCRIPTORS", DESCRIPTORS),
        ("BYTES", size_of::<Pad>()),
        ("GDTR", offset_of!(Pad, gdtr)),
        ("IDTR", offset_of!(Pad, idtr)),
        ("NMIS", offset_of!(Pad, nmis)),
        ("MACHINE_CHECKS", offset_of!(Pad, machine_checks)),
        ("CONTROL4", out(offset_of!(WayOut, cr4))),
        ("ROOT", out(offset_of!(WayOut, cr3))),
        ("STACK_POINTER", out(offset_of!(WayOut, rsp))),
        ("INSTRUCTION_POINTER", out(offset_of!(WayOut, rip))),
        ("FLAGS", out(offset_of!(WayOut, rflags))),
        ("DS", out(offset_of!(WayOut, ds))),
        ("ES", out(offset_of!(WayOut, es))),
        ("FS", out(offset_of!(WayOut, fs))),
        ("GS", out(offset_of!(WayOut, gs))),
        ("SS", out(offset_of!(WayOut, ss))),
        ("CS", out(offset_of!(WayOut, cs))),
        ("LDTR", out(offset_of!(WayOut, ldtr))),
        ("TR", out(offset_of!(WayOut, tr))),
        ("FS_BASE", out(offset_of!(WayOut, fs_base))),
        ("GS_BASE", out(offset_of!(WayOut, gs_base))),
        ("KERNEL_GDTR", out(offset_of!(WayOut, gdtr))),
        ("KERNEL_IDTR", out(offset_of!(WayOut, idtr))),
        ("RESULT", out(offset_of!(WayOut, result))),
    ]);
    assert_eq!(theirs, ours);
    assert_eq!(offset_of!(Pad, gates), 0, "SIDT finds the pad by it");
}
