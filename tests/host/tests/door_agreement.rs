// SPDX-License-Identifier: MIT OR Apache-2.0
//! The door, as the module sees it and as the image does.
//!
//! `mercury_door.h` is compared with `hal/src/door.rs`, `call.rs` and
//! `error.rs` as the public header is with its mirror: every name of the one
//! side must be on the other, the offsets that the module's assembler uses
//! included. The header of the image's file is `image_header`'s.

use core::mem::offset_of;
use std::path::Path;

use mercury_hal::call;
use mercury_hal::call::Request;
use mercury_hal::door;
use mercury_hal::door::Block;
use mercury_hal::door::Door;
use mercury_hal::door::Operation;
use mercury_hal::door::Parameters;
use mercury_hal::error::Error;
use mercury_host_tests::header::Facts;
use mercury_host_tests::header::c_facts;
use mercury_host_tests::header::disagreements;
use mercury_host_tests::header::module;
use mercury_host_tests::header::repository;
use mercury_host_tests::header::text;
use mercury_host_tests::header::upper_snake;
use mercury_x86::noted;
use mercury_x86::noted::Noted;
use mercury_x86::noted::Segment;
use mercury_x86::window;

/// The header with what an architecture adds to it.
fn header_of(architecture: &str) -> String {
    let part = text(&module(&format!("{architecture}/noted.h")));
    text(&module("mercury_door.h")).replace("#include \"noted.h\"", &part)
}

fn header() -> String {
    header_of("x86")
}

fn facts_of(name: &str, header: &str) -> Facts {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("door-{name}"));
    c_facts(&directory, "mercury_door.h", header)
}

const fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// A structure's size, and its fields' offsets and sizes.
macro_rules! layout {
    ($facts:ident, $type:ident, $name:literal, $($field:ident)*) => {
        $facts.insert(format!("sizeof {}", $name), size_of::<$type>() as u64);
        $(
            let field = format!("{}.{}", $name, stringify!($field));
            $facts.insert(format!("offsetof {field}"), offset_of!($type, $field) as u64);
            let size = size_of_field(|one: &$type| &one.$field);
            $facts.insert(format!("sizeof {field}"), size as u64);
        )*
        // With all fields named, this compiles.
        let _ = |$type { $($field: _),* }: $type| ();
    };
}

/// The offsets that door.S uses, by the names it uses.
macro_rules! assembler {
    ($facts:ident, $base:expr, $type:ident, $($field:ident)*) => {
        $($facts.insert(
            format!("MERCURY_DOOR_{}", stringify!($field).to_uppercase()),
            ($base + offset_of!($type, $field)) as u64,
        );)*
    };
}

/// What the Rust side says.
fn rust_facts() -> Facts {
    let mut facts = Facts::new();
    layout!(facts, Segment, "mercury_segment", selector descriptor);
    layout!(facts, Block, "mercury_block", start pages);
    layout!(facts, Door, "mercury_door",
        operation arguments words own host_root host_entry way_out backend noted control_block
        kernel way_free call_site);
    layout!(facts, Noted, "mercury_noted",
        stack_pointer instruction_pointer flags root control4 extended_features gdtr idtr segments
        host_control4);
    layout!(facts, Parameters, "mercury_parameters",
        abi block_count cpus_possible address_bits image_frames first_free frame_count
        huge_leaves levels store_frames proof_pages peek_table_frame mutant memory_end
        crash_loop_ticks blocks);
    assembler!(facts, 0, Door, own host_root host_entry);
    assembler!(facts, offset_of!(Door, noted), Noted, stack_pointer instruction_pointer flags root
        control4 extended_features gdtr idtr host_control4);
    let numbers = [
        ("DOOR_ABI", door::DOOR_ABI.into()),
        ("IMAGE_MAGIC", door::IMAGE_MAGIC),
        ("CPU_OFFSET", door::CPU_OFFSET),
        ("CPU_STRIDE", door::CPU_STRIDE),
        ("FRAME_OFFSET", door::FRAME_OFFSET),
        ("PEEK_OFFSET", door::PEEK_OFFSET),
        ("IMAGE_BASE", window::IMAGE_BASE),
        ("CPU_BASE", window::CPU_BASE),
        ("FRAME_BASE", window::FRAME_BASE),
        ("PEEK_BASE", window::PEEK_BASE),
        ("CPU_PAGES", door::CPU_PAGES as u64),
        ("MAX_CPUS", door::MAX_CPUS as u64),
        ("MAX_BLOCKS", door::MAX_BLOCKS as u64),
        ("BACKEND_SVM", noted::BACKEND_SVM),
        ("BACKEND_VMX", noted::BACKEND_VMX),
        ("CALL_BASE", call::BASE),
        ("CALL_WORDS", call::WORDS as u64),
        ("MARKED", call::MARKED),
        ("SIGHTS", door::SIGHTS),
    ];
    for (name, number) in numbers {
        facts.insert(format!("MERCURY_{name}"), number);
    }
    for number in 0..64 {
        if let Some(operation) = Operation::decode(number) {
            let name = upper_snake(&format!("{operation:?}"));
            facts.insert(format!("MERCURY_OPERATION_{name}"), number);
        }
        if let Some(request) = Request::decode(call::BASE | number, 0) {
            // Without its argument.
            let name = format!("{request:?}");
            let name = upper_snake(name.split('(').next().unwrap());
            facts.insert(format!("MERCURY_CALL_{name}"), number);
        }
    }
    facts
}

/// Takes the facts out that begin so.
fn take(facts: &mut Facts, beginnings: &[&str]) -> Facts {
    let names: Vec<String> = facts.keys().cloned().collect();
    names
        .into_iter()
        .filter(|name| {
            beginnings
                .iter()
                .any(|beginning| name.starts_with(beginning))
        })
        .map(|name| (name.clone(), facts.remove(&name).unwrap()))
        .collect()
}

/// The image's header is the linker script's, not Rust's (`image_header`).
const IMAGE_FACTS: &[&str] = &["sizeof mercury_image_", "offsetof mercury_image_"];

fn common(name: &str, header: &str) -> Vec<String> {
    let mut c = facts_of(name, header);
    take(&mut c, IMAGE_FACTS);
    take(&mut c, &["MERCURY_ERROR_", "MERCURY_INJECT_"]);
    assert!(c.len() > 90, "only {} facts", c.len());
    disagreements(&c, &rust_facts())
}

#[test]
fn door_agreement() {
    let differences = common("header", &header());
    assert!(
        differences.is_empty(),
        "C and Rust disagree:\n{}",
        differences.join("\n")
    );
}

/// ARM64's part is small; all else is the same header.
#[test]
fn arm64_agrees_too() {
    use mercury_aarch64::window;
    let c = facts_of("arm64", &header_of("arm64"));
    assert_eq!(c["MERCURY_IMAGE_BASE"], window::IMAGE_BASE);
    assert_eq!(c["MERCURY_CPU_BASE"], window::CPU_BASE);
    assert_eq!(c["MERCURY_FRAME_BASE"], window::FRAME_BASE);
    assert_eq!(c["sizeof mercury_noted"], door::NOTED_WORDS as u64 * 8);
    assert_eq!(c["offsetof mercury_noted.conduit"], 0);
    assert_eq!(c["sizeof mercury_door"], size_of::<Door>() as u64);
    let image = text(&repository("image/aarch64/src/death.rs"));
    let line = format!("const BY_SMC: u64 = {};", c["MERCURY_CONDUIT_SMC"]);
    assert!(image.contains(&line), "the image does not say {line:?}");
}

/// The module acts upon some errors only; those must mean the same.
/// It judges an answer by whether the number is one of ours, so a new hypercall
/// must be known to it.
#[test]
fn the_hostile_module_knows_every_call() {
    let mut calls = take(&mut facts_of("hostile", &header()), &["MERCURY_CALL_"]);
    for other in ["BASE", "WORDS"] {
        assert!(calls.remove(&format!("MERCURY_CALL_{other}")).is_some());
    }
    let last = calls.values().max().unwrap();
    assert_eq!(*last as usize + 1, calls.len(), "the numbers have no holes");
    let random = text(&repository("tests/guest/module/random.h"));
    for (name, number) in [
        ("DETACH", calls["MERCURY_CALL_DETACH"]),
        ("RESTORE", calls["MERCURY_CALL_RESTORE"]),
        ("LAST", *last),
    ] {
        let line = format!("#define HOSTILE_CALL_{name} (HOSTILE_CALL_BASE | {number})\n");
        assert!(random.contains(&line), "random.h does not say {line:?}");
    }
}

#[test]
fn errors_mean_the_same() {
    let errors = take(&mut facts_of("errors", &header()), &["MERCURY_ERROR_"]);
    assert!(!errors.is_empty());
    for (name, number) in errors {
        let known = Error::ALL
            .iter()
            .find(|error| name == format!("MERCURY_ERROR_{}", upper_snake(&format!("{error:?}"))))
            .unwrap_or_else(|| panic!("{name} is no error of the image"));
        assert_eq!(*known as u64, number, "{name}");
    }
}

#[test]
fn injections_mean_the_same() {
    let injections = take(&mut facts_of("injections", &header()), &["MERCURY_INJECT_"]);
    for (c, file, rust) in [
        ("REFUSE", "x86_64/src/call.rs", "REFUSE"),
        ("REFUSE", "aarch64/src/call.rs", "REFUSE"),
        ("ASID0", "x86_64/src/svm.rs", "ASID_0"),
        ("ASID0", "x86_64/src/vmx.rs", "BAD_STATE"),
        ("DIE", "x86_64/src/call.rs", "DIE"),
        ("DIE", "aarch64/src/call.rs", "DIE"),
    ] {
        let image = text(&repository(&format!("image/{file}")));
        let number = injections[&format!("MERCURY_INJECT_{c}")];
        let line = format!("const INJECT_{rust}: u64 = {number};");
        assert!(image.contains(&line), "{file} does not say {line:?}");
    }
    assert_eq!(injections.len(), 3, "one is not known to this test");
}

#[test]
fn page_slots_are_the_same() {
    let header = header();
    let list = header
        .split_once("#define MERCURY_CPU_PAGE_SLOTS {")
        .unwrap()
        .1;
    let list = list.split_once('}').unwrap().0;
    let slots: Vec<u8> = list
        .split(',')
        .map(|slot| slot.trim().parse().unwrap())
        .collect();
    assert_eq!(slots, door::CPU_PAGE_SLOTS);
}

/// The areas of the image's address space do not run into each other.
#[test]
fn areas_fit_beside_each_other() {
    let end_of_cpus = window::CPU_BASE + door::MAX_CPUS as u64 * door::CPU_STRIDE;
    assert!(end_of_cpus <= window::FRAME_BASE);
    assert!(window::PEEK_BASE + door::MAX_CPUS as u64 * 4096 <= 1 << 31);
    let last = u64::from(*door::CPU_PAGE_SLOTS.iter().max().unwrap());
    assert!(door::CPU_EXCEPTION_STACK_TOP == (last + 1) * 4096);
    assert!((last + 1) * 4096 <= door::CPU_STRIDE);
}

/// Each of these small changes of the header must be noticed.
#[test]
fn a_changed_header_is_noticed() {
    let original = header();
    let changes = [
        (
            "order",
            "__u64 host_root;\n\t__u64 host_entry;",
            "__u64 host_entry;\n\t__u64 host_root;",
            "offsetof mercury_door.host_entry",
        ),
        (
            "offset",
            "MERCURY_DOOR_FLAGS 160",
            "MERCURY_DOOR_FLAGS 168",
            "MERCURY_DOOR_FLAGS",
        ),
        (
            "call",
            "MERCURY_CALL_LOG 4",
            "MERCURY_CALL_LOG 10",
            "MERCURY_CALL_LOG",
        ),
        (
            "more",
            "MERCURY_OPERATION_LOG 4",
            "MERCURY_OPERATION_LOG 4\n#define MERCURY_OPERATION_X 5",
            "MERCURY_OPERATION_X",
        ),
        (
            "blocks",
            "MERCURY_MAX_BLOCKS 240",
            "MERCURY_MAX_BLOCKS 161",
            "sizeof mercury_parameters",
        ),
        (
            "field",
            "__u64 mutant;",
            "__u64 mutation;",
            "offsetof mercury_parameters.mutant",
        ),
    ];
    for (name, from, to, fact) in changes {
        assert_eq!(original.matches(from).count(), 1, "{from:?}");
        let differences = common(name, &original.replace(from, to));
        let begins = format!("{fact}:");
        assert!(
            differences.iter().any(|one| one.starts_with(&begins)),
            "the change {name:?} was not noticed: {differences:?}"
        );
    }
}
