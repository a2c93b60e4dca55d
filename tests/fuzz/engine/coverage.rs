// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of a decoder was reached.
//!
//! LLVM's instrumentation leaves two arrays in the program: a counter for each
//! edge, and the edge's address (Clang's "SanitizerCoverage", inline 8-bit
//! counters and PC table). libFuzzer clears the counters before every input, so
//! what was ever counted is noted here. GCC's instrumentation of the module's C
//! calls a function instead (`c/trace.c`); its calls are found in the text. An
//! edge is the decoder's if the debug information says that its code comes from
//! one of the decoder's files.
#![expect(unsafe_code, reason = "reads arrays that the compiler made")]

use addr2line::Loader;
use mercury_fuzz::Target;
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// An edge's address, and 1 if a function begins there.
#[repr(C)]
struct Place {
    address: usize,
    flags: usize,
}

unsafe extern "C" {
    #[link_name = "__start___sancov_cntrs"]
    static FIRST_COUNTER: u8;
    #[link_name = "__stop___sancov_cntrs"]
    static BEHIND_COUNTERS: u8;
    #[link_name = "__start___sancov_pcs"]
    static FIRST_PLACE: Place;
    fn mercury_fuzz_place();
    static mercury_fuzz_reached: [u8; C_PLACES];
}

/// What the compiler wrote: no decoder.
const DERIVED: [&str; 4] = ["3fmt", "core..fmt..", "core..cmp..", "core..clone.."];

/// As in `c/trace.c`.
const C_PLACES: usize = 4096;

static REACHED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn counters() -> &'static [u8] {
    let first = &raw const FIRST_COUNTER;
    let length = (&raw const BEHIND_COUNTERS).addr() - first.addr();
    // SAFETY: the linker says where the array begins and ends; this thread is
    // the only one that counts.
    unsafe { std::slice::from_raw_parts(first, length) }
}

fn places() -> &'static [Place] {
    // SAFETY: one for each counter, as LLVM lays it out.
    unsafe { std::slice::from_raw_parts(&raw const FIRST_PLACE, counters().len()) }
}

/// Notes what the last input reached.
pub(crate) fn note() {
    let Ok(mut reached) = REACHED.lock() else {
        return;
    };
    let now = counters();
    reached.resize(now.len(), 0);
    for (ever, now) in reached.iter_mut().zip(now) {
        *ever |= *now;
    }
}

/// Addresses of this program as linked, whatever address it was loaded at.
fn loaded_at(file: &object::File<'_>) -> usize {
    let linked = file
        .symbols()
        .find(|symbol| symbol.name() == Ok("mercury_fuzz_place"))
        .map_or(0, |symbol| symbol.address() as usize);
    (mercury_fuzz_place as *const () as usize).wrapping_sub(linked)
}

/// The edges of GCC's instrumentation: return addresses of its calls, as linked.
fn c_edges(file: &object::File<'_>, bias: usize) -> Vec<(u64, bool)> {
    let callee = mercury_fuzz_place as *const () as usize - bias;
    let Some(text) = file.section_by_name(".text") else {
        return Vec::new();
    };
    let (start, bytes) = (text.address() as usize, text.data().unwrap_or_default());
    // SAFETY: written by this thread alone, which is at its end.
    let reached: [u8; C_PLACES] = unsafe { mercury_fuzz_reached };
    bytes
        .windows(5)
        .enumerate()
        .filter(|(_, code)| code[0] == 0xe8)
        .filter_map(|(at, code)| {
            let back = start + at + 5;
            let offset = i32::from_le_bytes(code[1..].try_into().ok()?);
            (back.wrapping_add_signed(offset as isize) == callee).then(|| {
                let place = back.wrapping_sub(callee) % C_PLACES;
                (back as u64, reached[place] != 0)
            })
        })
        .collect()
}

/// Says how much of the target's decoder was reached.
pub(crate) fn report(target: &Target) {
    if let Err(error) = try_report(target) {
        println!("coverage: {error}");
    }
}

fn try_report(target: &Target) -> Result<(), Box<dyn std::error::Error>> {
    let own = std::env::current_exe()?;
    let bytes = std::fs::read(&own)?;
    let file = object::File::parse(&*bytes)?;
    let bias = loaded_at(&file);
    let reached = REACHED
        .lock()
        .map(|reached| reached.clone())
        .unwrap_or_default();
    let mut edges: Vec<(u64, bool)> = places()
        .iter()
        .zip(reached)
        .map(|(place, ever)| (place.address.wrapping_sub(bias) as u64, ever != 0))
        .collect();
    // Behind a call; the call is the edge's.
    edges.extend(
        c_edges(&file, bias)
            .into_iter()
            .map(|(back, ever)| (back - 1, ever)),
    );
    let loader = Loader::new(&own).map_err(|error| error.to_string())?;
    let (mut all, mut found) = (0, 0);
    // Lines of which an edge was never reached, by file.
    let mut missing: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (address, ever) in edges {
        let Some(location) = loader.find_location(address).ok().flatten() else {
            continue;
        };
        let name = location.file.unwrap_or_default();
        if !target.decoder.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let function = loader.find_symbol(address).unwrap_or_default();
        if DERIVED.iter().any(|name| function.contains(name)) {
            continue;
        }
        all += 1;
        found += u32::from(ever);
        if !ever {
            let short = name.rsplit('/').next().unwrap_or_default().to_owned();
            missing.entry(short).or_default().extend(location.line);
        }
    }
    println!("coverage: {found} of {all} edges");
    for (file, mut lines) in missing {
        lines.sort_unstable();
        lines.dedup();
        println!("coverage: not reached in {file}: {lines:?}");
    }
    Ok(())
}
