// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header at the start of the image's file: as `mercury_door.h` has it, as
//! the linker script lays it out, and as it stands in an image that was built.

use std::path::Path;

use mercury_hal::door;
use mercury_host_tests::header::Facts;
use mercury_host_tests::header::c_facts;
use mercury_host_tests::header::module;
use mercury_host_tests::header::repository;
use mercury_host_tests::header::text;

/// An architecture: its name, its folder's window, what the script calls the entry.
struct Architecture {
    name: &'static str,
    base: u64,
    entry: &'static str,
}

const ARCHITECTURES: [Architecture; 2] = [
    Architecture {
        name: "x86_64",
        base: mercury_x86::window::IMAGE_BASE,
        entry: "mercury_entry",
    },
    Architecture {
        name: "aarch64",
        base: mercury_aarch64::window::IMAGE_BASE,
        entry: "mercury_way_in",
    },
];

/// What the C compiler makes of the header. `name` keeps tests apart.
fn facts(name: &str) -> Facts {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{name}"));
    c_facts(
        &directory,
        "mercury_door.h",
        &text(&module("mercury_door.h"))
            .replace("#include \"noted.h\"", &text(&module("x86/noted.h"))),
    )
}

/// What the linker script puts at the start of the image: offset and text of
/// each number.
fn script(architecture: &Architecture) -> Vec<(u64, u64, String)> {
    let script = text(&repository(&format!(
        "image/{}/image.ld",
        architecture.name
    )));
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
fn the_linker_scripts_lay_out_the_header() {
    let c = facts("script");
    for architecture in &ARCHITECTURES {
        lays_out(architecture, &c);
    }
}

fn lays_out(architecture: &Architecture, c: &Facts) {
    let script = script(architecture);
    let end = script.last().map(|(at, size, _)| at + size).unwrap();
    assert_eq!(end, c["sizeof mercury_image_header"]);
    let expected = [
        ("magic", format!("{:#018x}", door::IMAGE_MAGIC)),
        ("abi", door::DOOR_ABI.to_string()),
        ("segment_count", "3".to_owned()),
        ("file_bytes", "__file_end - IMAGE_BASE".to_owned()),
        ("memory_bytes", "__memory_end - IMAGE_BASE".to_owned()),
        ("base", "IMAGE_BASE".to_owned()),
        ("entry", architecture.entry.to_owned()),
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
    let mut expected = [0; 8];
    expected[..architecture.name.len()].copy_from_slice(architecture.name.as_bytes());
    assert_eq!((*size, name.to_le_bytes()), (8, expected));
    let base = format!("IMAGE_BASE = {:#x};", architecture.base);
    let file = repository(&format!("image/{}/image.ld", architecture.name));
    assert!(text(&file).contains(&base));
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
    let c = facts("built");
    let flavours = ["release", "testing"].into_iter();
    for (flavour, architecture) in
        flavours.flat_map(|flavour| ARCHITECTURES.iter().map(move |one| (flavour, one)))
    {
        let path = repository("target/image")
            .join(flavour)
            .join(format!("mercury-{}.img", architecture.name));
        let Ok(image) = std::fs::read(path) else {
            continue;
        };
        let field = |name| number(&image, &c, name);
        assert_eq!(field("magic"), door::IMAGE_MAGIC);
        assert_eq!(field("abi"), u64::from(door::DOOR_ABI));
        assert_eq!(field("base"), architecture.base);
        assert_eq!(field("file_bytes"), image.len() as u64);
        let memory = field("memory_bytes");
        assert!(memory >= field("file_bytes") && memory % 4096 == 0);
        let entry = field("entry").checked_sub(architecture.base).unwrap();
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
