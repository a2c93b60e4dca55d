// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C header and its Rust mirror say the same.
//!
//! `mercury_abi.h` is the contract between the module and every program; the
//! Rust side is written by hand. This test lets the C compiler print what the
//! header means (lengths, offsets, `ioctl` numbers, codes) and compares it
//! with the mirror, in both directions: what only one side knows is a
//! disagreement as well. The names are taken from the header's text, so a new
//! field or enumerator is noticed without a change here. That the comparison
//! can fail is a test of its own: headers with one small change each.

use mercury_device::abi;
use mercury_host_tests::header::Facts;
use mercury_host_tests::header::disagreements;
use mercury_host_tests::header::module;
use mercury_host_tests::header::text;
use mercury_host_tests::header::upper_snake;
use mercury_host_tests::header::without_comments;
use std::path::Path;

fn header() -> String {
    text(&module("mercury_abi.h"))
}

/// What the C compiler makes of it. `name` keeps tests apart.
fn c_facts(name: &str, header: &str) -> Facts {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("abi-{name}"));
    mercury_host_tests::header::c_facts(&directory, "mercury_abi.h", header)
}

/// What the mirror says.
fn rust_facts() -> Facts {
    let mut facts = Facts::new();
    for layout in abi::LAYOUTS {
        facts.insert(format!("sizeof {}", layout.name), layout.size as u64);
        for field in layout.fields {
            let name = format!("{}.{}", layout.name, field.name);
            facts.insert(format!("offsetof {name}"), field.offset as u64);
            facts.insert(format!("sizeof {name}"), field.size as u64);
        }
    }
    let numbers = abi::NUMBERS.iter().copied();
    for (name, value) in abi::constants().into_iter().chain(numbers) {
        assert!(
            facts.insert(name.to_owned(), value.into()).is_none(),
            "{name} twice"
        );
    }
    facts
}

#[test]
fn abi_agreement() {
    let c = c_facts("header", &header());
    assert!(
        c.len() > 200,
        "only {} facts were found in the header",
        c.len()
    );
    let differences = disagreements(&c, &rust_facts());
    assert!(
        differences.is_empty(),
        "C and Rust disagree:\n{}",
        differences.join("\n")
    );
}

/// The fields cover each structure without a gap: none was left out, and none
/// is padding without a name, on any architecture.
#[test]
fn no_structure_has_a_gap() {
    for layout in abi::LAYOUTS {
        let mut end = 0;
        for field in layout.fields {
            assert_eq!(field.offset, end, "before {}.{}", layout.name, field.name);
            end += field.size;
        }
        assert_eq!(end, layout.size, "at the end of {}", layout.name);
        assert_eq!(
            layout.size % 8,
            0,
            "{} would differ on 32 bits",
            layout.name
        );
    }
}

/// Each of these small changes of the header must be noticed.
#[test]
fn a_changed_header_is_noticed() {
    let original = header();
    let rust = rust_facts();
    let changes = [
        (
            "length",
            "char detail[88];",
            "char detail[96];",
            "sizeof mercury_verdict",
        ),
        (
            "order",
            "__u64 begin;",
            "__u64 started;",
            "offsetof mercury_sample.begin",
        ),
        (
            "code",
            "MERCURY_REQUIREMENT_MEMORY = 13,",
            "MERCURY_REQUIREMENT_MEMORY = 33,",
            "MERCURY_REQUIREMENT_MEMORY",
        ),
        (
            "more",
            "MERCURY_CPU_SILENT = 3,",
            "MERCURY_CPU_SILENT = 3, \n\tMERCURY_CPU_LOST = 4,",
            "MERCURY_CPU_LOST",
        ),
        (
            "number",
            "_IOWR('m', 0x09, struct mercury_proof)",
            "_IOWR('m', 0x19, struct mercury_proof)",
            "MERCURY_IOC_PROVE",
        ),
        (
            "direction",
            "_IOWR('m', 0x05, struct mercury_status)",
            "_IOW('m', 0x05, struct mercury_status)",
            "MERCURY_IOC_STATUS",
        ),
        (
            "version",
            "MERCURY_ABI_VERSION 1",
            "MERCURY_ABI_VERSION 2",
            "MERCURY_ABI_VERSION",
        ),
        (
            "structure",
            "struct mercury_frame_range {",
            "struct mercury_extra { __u64 a; };\nstruct mercury_frame_range {",
            "sizeof mercury_extra",
        ),
    ];
    for (name, from, to, fact) in changes {
        assert_eq!(
            original.matches(from).count(),
            1,
            "{from:?} does not stand once in the header"
        );
        let differences = disagreements(&c_facts(name, &original.replace(from, to)), &rust);
        assert!(
            differences
                .iter()
                .any(|difference| difference.starts_with(&format!("{fact}:"))),
            "the change {name:?} was not noticed: {differences:?}"
        );
    }
}

/// The module writes records, too: its event codes are those of `mercury-hal`.
/// They stand in a header of the kernel's side, which only a kernel build can
/// compile; its text is enough here.
#[test]
fn the_module_knows_the_same_events() {
    /// The first code of the module's own.
    const OWN: u16 = 64;
    let text = without_comments(&text(&module("mercury.h")));
    let mut found = 0;
    for line in text.lines() {
        let Some((name, code)) = line.trim().strip_prefix("MERCURY_EVENT_").and_then(|rest| {
            let (name, code) = rest.split_once('=')?;
            Some((name.trim(), code.trim().trim_end_matches(',')))
        }) else {
            continue;
        };
        let code: u16 = code.parse().unwrap();
        let event = mercury_device::Event::from_code(code);
        let known = event.map(|event| upper_snake(&format!("{event:?}")));
        assert_eq!(known.as_deref(), Some(name), "event {code}");
        // It also knows some of the image's, which it looks for in the log.
        found += usize::from(code >= OWN);
    }
    let of_the_module = mercury_device::Event::ALL
        .iter()
        .filter(|&&event| event as u16 >= OWN);
    assert_eq!(found, of_the_module.count(), "the module leaves events out");
}
