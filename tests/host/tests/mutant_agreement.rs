// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's names of mutants, in the order of the image's numbers.
//!
//! The module looks a name up in a list and hands its place on as a number; the
//! image takes it for a discriminant. A name in the wrong place would have the
//! wrong restore left out, and the check that was asked for would look blind.

use mercury_host_tests::header::module;
use mercury_host_tests::header::repository;
use mercury_host_tests::header::text;
use mercury_host_tests::header::without_comments;

/// What the image calls a defect, and what the module does: x86-64.
const X86: &[(&str, &str)] = &[
    ("GdtLimit", "gdt_limit"),
    ("IdtLimit", "idt_limit"),
    ("Ldtr", "ldtr"),
    ("Dr7", "dr7"),
    ("GeneralRegister", "gpr"),
    ("VectorRegister", "xmm"),
    ("PageAttributes", "pat"),
    ("ControlRegister4", "cr4"),
    ("TimeStampOffset", "tsc_offset"),
    ("FsBase", "fs_base"),
    ("ControlRegister2", "cr2"),
    ("SystemCall", "sfmask"),
    ("SystemEnter", "sysenter"),
    ("SaveArea", "hsave"),
    ("ExtensionBit", "svme"),
    ("DataSegment", "ds"),
    ("KernelGsBase", "kernel_gs_base"),
    ("TaskSwitched", "cr0_ts"),
    ("HoleLength", "hole_length"),
    ("Task", "tr"),
    ("Tag", "pcid"),
    ("LostNmi", "nmi"),
];

/// The same, ARM64.
const ARM64: &[(&str, &str)] = &[
    ("Tcr", "tcr"),
    ("Ttbr0", "ttbr0"),
    ("Mair", "mair"),
    ("Tpidr", "tpidr"),
    ("StackPointer", "sp"),
    ("Vtcr", "vtcr"),
    ("Vttbr", "vttbr"),
    ("HypervisorConfiguration", "hcr"),
    ("GeneralRegister", "x19"),
    ("VectorRegister", "v5"),
    ("ThreadPointer", "tpidr_el0"),
    ("CounterOffset", "cntvoff"),
    ("TraceTrap", "trace_trap"),
    ("PhysicalAddress", "par"),
    ("HoleLength", "hole_length"),
    ("ResetVectors", "reset_vectors"),
];

/// The enumerators of the image, with their numbers.
fn of_the_image(architecture: &str) -> Vec<(String, usize)> {
    let source = text(&repository(&format!("arch/{architecture}/src/mutant.rs")));
    let body = source.split_once("pub enum Mutant {").expect("the enum").1;
    let body = body.split_once('}').expect("its end").0;
    body.lines()
        .filter(|line| !line.trim().starts_with("//"))
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "))
        .map(|(name, number)| (name.to_owned(), number.parse().unwrap()))
        .collect()
}

/// The module's list of the image's.
fn of_the_module(folder: &str) -> Vec<String> {
    let source = without_comments(&text(&module(&format!("{folder}/rules.h"))));
    let list = source
        .split_once("#define MERCURY_IMAGE_MUTANTS")
        .expect("the list")
        .1;
    let list = list.split_once("#endif").expect("its end").0;
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn mutant_agreement() {
    for (architecture, folder, names) in [("x86_64", "x86", X86), ("aarch64", "arm64", ARM64)] {
        let image = of_the_image(architecture);
        let module = of_the_module(folder);
        assert_eq!(image.len(), module.len(), "{architecture}");
        let mut sorted = module.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), module.len(), "a name stands twice");
        for (place, (name, number)) in image.iter().enumerate() {
            assert_eq!(*number, place + 1, "{name}: the numbers have a gap");
            let known = names.iter().find(|(image, _)| image == name);
            let (_, expected) = known.unwrap_or_else(|| panic!("{name} is not in the table above"));
            assert_eq!(module[place], *expected, "the name of {name}");
        }
    }
}

/// The image's own type, beside its text.
#[test]
fn the_text_is_the_type() {
    use mercury_x86::mutant::Mutant;
    let numbers = of_the_image("x86_64");
    let number = |name: &str| numbers.iter().find(|(one, _)| one == name).unwrap().1;
    assert_eq!(Mutant::GdtLimit as usize, number("GdtLimit"));
    assert_eq!(Mutant::HoleLength as usize, number("HoleLength"));
}
