// SPDX-License-Identifier: MIT OR Apache-2.0
//! The catalogue of failures in docs/reliability.md against the code: every point
//! at which the module can be made to fail, every way in which a CPU of the
//! simulated machine can fail its entry, and every hook that the module sets has
//! its line, and names what injects it. So a new one cannot be forgotten, and a
//! line cannot outlive its point.

use std::collections::BTreeSet;

use mercury_host_tests::header::module;
use mercury_host_tests::header::repository;
use mercury_host_tests::header::text;
use mercury_host_tests::header::without_comments;
use mercury_sim::cpu::EntryFailure;

/// First words of the table's lines: `point`, in backquotes.
fn catalogue() -> BTreeSet<String> {
    let document = text(&repository("docs/reliability.md"));
    let table = document
        .split_once("<!-- catalogue -->")
        .expect("the catalogue begins")
        .1
        .split_once("<!-- end of catalogue -->")
        .expect("and ends")
        .0;
    table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect()
}

/// Names of the module's injection points, in lower case.
fn points() -> BTreeSet<String> {
    let header = without_comments(&text(&module("testing.h")));
    header
        .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .filter_map(|word| word.strip_prefix("MERCURY_POINT_"))
        .map(str::to_lowercase)
        .collect()
}

fn sources(folder: &str) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(repository(folder)).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let below = path
                .strip_prefix(repository(""))
                .expect("of the repository");
            all += &sources(&below.display().to_string());
        } else if path
            .extension()
            .is_some_and(|kind| kind == "c" || kind == "rs")
        {
            all += &text(&path);
        }
    }
    all
}

#[test]
fn every_point_has_its_line_and_every_line_its_point() {
    let module = points().into_iter().map(|point| format!("inject={point}"));
    let sim = EntryFailure::ALL
        .iter()
        .map(|failure| format!("sim {failure:?}"));
    let others = ["sim Signal", "sim Missing", "sim Seal", "sim frames"];
    let expected: BTreeSet<String> = module.chain(sim).chain(others.map(str::to_owned)).collect();
    assert_eq!(catalogue(), expected);
}

/// A point that nobody passes, or that no suite injects, tests nothing.
#[test]
fn every_point_is_passed_and_injected() {
    let module = sources("platform/linux/module");
    let suites = sources("tests/guest/src");
    for point in points() {
        let call = format!("mercury_inject(MERCURY_POINT_{}", point.to_uppercase());
        assert!(
            module.contains(&call),
            "nothing in the module fails at {point}"
        );
        let injected = ["\"", "{", ":", "@"]
            .iter()
            .any(|after| suites.contains(&format!("\"{point}{after}")));
        assert!(injected, "no suite of tests/guest injects {point}");
    }
}

/// The hooks that the module sets: as many points as there are calls that can
/// fail, and as many as the suite `inject` goes through.
#[test]
fn every_hook_can_be_made_to_fail() {
    let hooks = text(&module("hooks.c"));
    let points = hooks.matches("mercury_inject(MERCURY_POINT_HOOKS").count();
    let set = [
        "cpuhp_setup_state_nocalls(",
        "register_pm_notifier(",
        "register_reboot_notifier(",
        "register_memory_notifier(",
    ];
    let calls: usize = set
        .iter()
        .map(|call| hooks.matches(call).count() - hooks.matches(&format!("un{call}")).count())
        .sum();
    assert_eq!(points, calls);
    let suite = text(&repository("tests/guest/src/suite/inject.rs"));
    assert!(suite.contains(&format!("const HOOKS: u64 = {points};")));
}
