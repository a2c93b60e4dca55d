// SPDX-License-Identifier: MIT OR Apache-2.0
//! The door, as the module sees it and as the image does.
//!
//! `mercury_door.h` is compared with `hal/src/door.rs`, `call.rs` and
//! `error.rs` as the public header is with its mirror: every name of the one
//! side must be on the other. Beside it, what neither compiler can hold
//! together: the offsets that the module's assembler uses, the image's header
//! as the linker script lays it out, and an image that has been built.

use core::mem::offset_of;
use std::path::Path;

use mercury_hal::call;
use mercury_hal::call::Request;
use mercury_hal::door;
use mercury_hal::door::Block;
use mercury_hal::door::Door;
use mercury_hal::door::Operation;
use mercury_hal::door::Parameters;
use mercury_hal::door::Segment;
use mercury_hal::error::Error;
use mercury_host_tests::header::Facts;
use mercury_host_tests::header::c_facts;
use mercury_host_tests::header::disagreements;
use mercury_host_tests::header::module;
use mercury_host_tests::header::repository;
use mercury_host_tests::header::text;
use mercury_host_tests::header::upper_snake;

fn header() -> String {
    text(&module("mercury_door.h"))
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
    ($facts:ident, $($field:ident)*) => {
        $($facts.insert(
            format!("MERCURY_DOOR_{}", stringify!($field).to_uppercase()),
            offset_of!(Door, $field) as u64,
        );)*
    };
}

/// What the Rust side says.
fn rust_facts() -> Facts {
    let mut facts = Facts::new();
    layout!(facts, Segment, "mercury_segment", selector descriptor);
    layout!(facts, Block, "mercury_block", start pages);
    layout!(facts, Door, "mercury_door",
        operation arguments words own host_root host_entry way_out backend stack_pointer
        instruction_pointer flags root control4 extended_features gdtr idtr segments
        host_control4 control_block);
    layout!(facts, Parameters, "mercury_parameters",
        abi block_count cpus_possible address_bits image_frames first_free frame_count
        huge_leaves levels testing proof_pages peek_table_frame mutant blocks);
    assembler!(facts, own host_root host_entry stack_pointer instruction_pointer flags root
        control4 extended_features gdtr idtr host_control4);
    let numbers = [
        ("DOOR_ABI", door::DOOR_ABI.into()),
        ("IMAGE_MAGIC", door::IMAGE_MAGIC),
        ("IMAGE_BASE", door::IMAGE_BASE),
        ("CPU_BASE", door::CPU_BASE),
        ("CPU_STRIDE", door::CPU_STRIDE),
        ("FRAME_BASE", door::FRAME_BASE),
        ("PEEK_BASE", door::PEEK_BASE),
        ("CPU_PAGES", door::CPU_PAGES as u64),
        ("MAX_CPUS", door::MAX_CPUS as u64),
        ("MAX_BLOCKS", door::MAX_BLOCKS as u64),
        ("BACKEND_SVM", door::BACKEND_SVM),
        ("CALL_BASE", call::BASE),
        ("CALL_WORDS", call::WORDS as u64),
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

/// The image's header is the linker script's, not Rust's.
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

/// The module acts upon some errors only; those must mean the same.
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
    let image = text(&repository("image/x86_64/src/call.rs"));
    for (c, rust) in [("REFUSE", "REFUSE"), ("ASID0", "ASID_0")] {
        let number = injections[&format!("MERCURY_INJECT_{c}")];
        let line = format!("const INJECT_{rust}: u64 = {number};");
        assert!(image.contains(&line), "the image does not say {line:?}");
    }
    assert_eq!(injections.len(), 2, "one is not known to this test");
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
    let end_of_cpus = door::CPU_BASE + door::MAX_CPUS as u64 * door::CPU_STRIDE;
    assert!(end_of_cpus <= door::FRAME_BASE);
    assert!(door::PEEK_BASE + door::MAX_CPUS as u64 * 4096 <= 1 << 31);
    let last = u64::from(*door::CPU_PAGE_SLOTS.iter().max().unwrap());
    assert!(door::CPU_EXCEPTION_STACK_TOP == (last + 1) * 4096);
    assert!((last + 1) * 4096 <= door::CPU_STRIDE);
}

/// What the linker script puts at the start of the image: offset and text of
/// each number.
fn script() -> Vec<(u64, u64, String)> {
    let script = text(&repository("image/x86_64/image.ld"));
    let body = script.split_once(".text : {").expect("the first section").1;
    let body = body.split_once("*(.text").expect("its code").0;
    let mut entries = Vec::new();
    let mut at = 0;
    for line in body.lines().map(str::trim) {
        let size = match line.get(..5) {
            Some("QUAD(") => 8,
            Some("LONG(") => 4,
            _ => continue,
        };
        let statement = line.split("/*").next().unwrap().trim();
        let value = &statement[5..statement.len() - 1];
        entries.push((at, size, value.to_owned()));
        at += size;
    }
    entries
}

#[test]
fn the_linker_script_lays_out_the_header() {
    let c = facts_of("script", &header());
    let script = script();
    let end = script.last().map(|(at, size, _)| at + size).unwrap();
    assert_eq!(end, c["sizeof mercury_image_header"]);
    let expected = [
        ("magic", format!("{:#018x}", door::IMAGE_MAGIC)),
        ("abi", door::DOOR_ABI.to_string()),
        ("segment_count", "3".to_owned()),
        ("architecture", "0x0034365f363878".to_owned()),
        ("file_bytes", "__file_end - IMAGE_BASE".to_owned()),
        ("memory_bytes", "__memory_end - IMAGE_BASE".to_owned()),
        ("base", "IMAGE_BASE".to_owned()),
        ("entry", "mercury_entry".to_owned()),
        ("segments", "0".to_owned()),
    ];
    for (field, value) in expected {
        let offset = c[&format!("offsetof mercury_image_header.{field}")];
        let found = script.iter().find(|(at, ..)| *at == offset);
        let (_, _, found) = found.unwrap_or_else(|| panic!("nothing stands at {field}"));
        assert_eq!(*found, value, "{field}");
    }
    let at = c["offsetof mercury_image_header.architecture"];
    let (_, size, name) = script.iter().find(|(here, ..)| *here == at).unwrap();
    let name = u64::from_str_radix(name.trim_start_matches("0x"), 16).unwrap();
    assert_eq!((*size, name.to_le_bytes()), (8, *b"x86_64\0\0"));
    let base = format!("IMAGE_BASE = {:#x};", door::IMAGE_BASE);
    assert!(text(&repository("image/x86_64/image.ld")).contains(&base));
}

/// A field of an image's header.
fn number(image: &[u8], c: &Facts, field: &str) -> u64 {
    let at = c[&format!("offsetof mercury_image_header.{field}")] as usize;
    let size = c[&format!("sizeof mercury_image_header.{field}")] as usize;
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(&image[at..at + size]);
    u64::from_le_bytes(bytes)
}

/// An image that has been built (by `make image`; without one there is nothing
/// to look at) is what its header says.
#[test]
fn a_built_image_is_what_its_header_says() {
    let c = facts_of("image", &header());
    for flavour in ["release", "testing"] {
        let path = repository("target/image")
            .join(flavour)
            .join("mercury-x86_64.img");
        let Ok(image) = std::fs::read(path) else {
            continue;
        };
        let field = |name| number(&image, &c, name);
        assert_eq!(field("magic"), door::IMAGE_MAGIC);
        assert_eq!(field("abi"), u64::from(door::DOOR_ABI));
        assert_eq!(field("base"), door::IMAGE_BASE);
        assert_eq!(field("file_bytes"), image.len() as u64);
        let memory = field("memory_bytes");
        assert!(memory >= field("file_bytes") && memory % 4096 == 0);
        let entry = field("entry").checked_sub(door::IMAGE_BASE).unwrap();
        let start = c["offsetof mercury_image_header.segments"] as usize;
        let size = c["sizeof mercury_image_segment"] as usize;
        let mut next = 0;
        for segment in image[start..]
            .chunks(size)
            .take(field("segment_count") as usize)
        {
            let word = |name: &str| {
                let at = c[&format!("offsetof mercury_image_segment.{name}")] as usize;
                u64::from(u32::from_le_bytes(segment[at..at + 4].try_into().unwrap()))
            };
            assert_eq!(word("first_page"), next);
            assert_ne!(word("flags"), 3, "writable and executable");
            let covers = next * 4096..(next + word("pages")) * 4096;
            assert_eq!(
                covers.contains(&entry),
                word("flags") == 2,
                "the entry is code"
            );
            next += word("pages");
        }
        assert_eq!(next * 4096, memory);
    }
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
            "MERCURY_MAX_BLOCKS 160",
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
