// SPDX-License-Identifier: MIT OR Apache-2.0
//! The quick half: format, lints, the tests that need no guest, a look into the
//! linked images, the fuzzers for a short while, and one planted defect.

use super::matrix;
use super::report::{Fate, Report};
use super::{image, unsafety};
use crate::arch::Arch;
use crate::arguments::HostPart;
use crate::command::{cargo, output, shown, stdout_of};
use crate::debian;
use crate::defects;
use crate::fuzz;
use crate::packages;
use crate::paths::Paths;
use crate::terminal::{Work, remark};
use anyhow::Result;
use clap::ValueEnum;
use std::time::Instant;

/// Runs all steps, each to its end, so that one run shows everything.
pub(super) fn run(paths: &Paths, archs: &[Arch], report: &mut Report) -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    // The images are for bare machines: those asked for are linted for their
    // own, and the parts that can be tested here are in other crates.
    let images: Vec<String> = Arch::ALL
        .into_iter()
        .filter(|arch| has_image(paths, *arch))
        .map(Arch::image_package)
        .collect();
    let mut workspace = vec!["--workspace"];
    for image in &images {
        workspace.extend(["--exclude", image]);
    }
    let step = |name: &str, first: &[&str], rest: &[&str]| {
        let mut words = first.to_vec();
        words.extend(rest);
        (
            name.to_owned(),
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    let mut steps = vec![
        step("format", &["fmt", "--all", "--check"], &[]),
        step(
            "lints",
            &[&["clippy", "--quiet", "--all-targets"][..], &workspace].concat(),
            &deny,
        ),
        step("host-tests", &["test", "--no-fail-fast"], &workspace),
    ];
    for arch in archs.iter().filter(|arch| has_image(paths, **arch)) {
        let image = arch.image_package();
        let bare_metal = ["--package", &image, "--target", arch.bare_metal()];
        for (name, features) in [
            ("lints-image", &[][..]),
            ("lints-image-mutants", &["--features", "mutants"][..]),
        ] {
            steps.push(step(
                &format!("{name}-{arch}"),
                &[&["clippy", "--quiet"][..], features, &bare_metal].concat(),
                &deny,
            ));
        }
    }
    for (name, words) in steps {
        remark(&format!("cargo {}", words.join(" ")));
        let started = Instant::now();
        let mut command = cargo(paths);
        let ended = {
            let _work = Work::begin(&name);
            output(command.args(&words))?
        };
        let text = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
        let (passed, failed) = counts(&text);
        let wall = started.elapsed();
        report.spend(matrix::HOST, wall);
        if ended.status.success() {
            report.add(&name, passed.max(1), Fate::Passed, wall, None);
            continue;
        }
        println!("{text}");
        if passed > 0 {
            report.add(&name, passed, Fate::Passed, wall, None);
        }
        let reason = format!("'{}' ended with {}", shown(&command), ended.status);
        report.add(&name, failed.max(1), Fate::Failed(reason), wall, None);
    }
    for arch in archs.iter().filter(|arch| has_image(paths, **arch)) {
        remark(&format!("looking into the images of {arch}"));
        let started = Instant::now();
        let (count, fate) = match image::inspect(paths, *arch) {
            Ok(_) => (2, Fate::Passed),
            Err(error) => (1, Fate::Failed(format!("{error:#}"))),
        };
        let wall = started.elapsed();
        report.spend(matrix::HOST, wall);
        report.add(&format!("image-{arch}"), count, fate, wall, None);
    }
    parts(paths, archs, HostPart::value_variants(), report);
    fuzzers(paths, report);
    sample(paths, report);
    println!("{}", unsafety::table(paths)?);
    Ok(())
}

/// The parts that need more than a toolchain.
pub(super) fn parts(paths: &Paths, archs: &[Arch], parts: &[HostPart], report: &mut Report) {
    for part in parts {
        match part {
            HostPart::Promtool => metrics(paths, report),
            HostPart::Packages => archs.iter().for_each(|arch| packages(paths, *arch, report)),
        }
    }
}

/// The packages of one instruction set.
fn packages(paths: &Paths, arch: Arch, report: &mut Report) {
    let started = Instant::now();
    let fate = match packages::check(paths, arch) {
        Ok(()) => Fate::Passed,
        Err(error) => Fate::Failed(format!("{error:#}")),
    };
    let wall = started.elapsed();
    // Nearly all of it is building.
    report.spend(matrix::BUILD, wall);
    report.add(&format!("packages-{arch}"), 2, fate, wall, None);
}

/// What `mercury metrics` prints, before Prometheus' own checker.
fn metrics(paths: &Paths, report: &mut Report) {
    let started = Instant::now();
    let fate = match debian::promtool(paths) {
        Err(error) => Fate::Skipped(format!("promtool could not be fetched: {error:#}")),
        Ok(promtool) => {
            let mut command = cargo(paths);
            command
                .args(["test", "--package", "mercury-cli", "--", "--ignored"])
                .args(["--exact", PROMTOOL_TEST])
                .env("MERCURY_PROMTOOL", promtool);
            match stdout_of(&mut command) {
                Ok(text) if counts(&text) == (1, 0) => Fate::Passed,
                Ok(text) => Fate::Failed(format!("no test {PROMTOOL_TEST} ran:\n{text}")),
                Err(error) => Fate::Failed(format!("{error:#}")),
            }
        }
    };
    let wall = started.elapsed();
    report.spend(matrix::HOST, wall);
    report.add("promtool", 1, fate, wall, None);
}

/// It needs a program that is no part of a toolchain, so `cargo test` leaves it out.
const PROMTOOL_TEST: &str = "command::metrics::tests::promtool_finds_no_fault";

/// Seconds of a CPU that each fuzzer has here.
const FUZZ_SECONDS: u64 = 20;
/// What all of them may take, in seconds.
const FUZZ_BUDGET: u64 = 300;

/// Every boundary under the fuzzer, for a short while.
fn fuzzers(paths: &Paths, report: &mut Report) {
    let started = Instant::now();
    let outcome = fuzz::run(paths, &[], FUZZ_SECONDS, 1);
    let wall = started.elapsed();
    report.spend(matrix::HOST, wall);
    let trials = match outcome {
        Ok(trials) => trials,
        Err(error) => {
            let fate = Fate::Failed(format!("{error:#}"));
            report.add("fuzz", 1, fate, wall, Some(FUZZ_BUDGET));
            return;
        }
    };
    for trial in &trials {
        println!("        {trial}");
    }
    let complaints: Vec<String> = trials.iter().filter_map(fuzz::Trial::complaint).collect();
    let fate = if complaints.is_empty() {
        Fate::Passed
    } else {
        Fate::Failed(complaints.join("; "))
    };
    let count = trials.len() as u64;
    report.add("fuzz", count, fate, wall, Some(FUZZ_BUDGET));
}

/// The planted defect that it is the day for.
fn sample(paths: &Paths, report: &mut Report) {
    let started = Instant::now();
    let (name, fate) = match defects::sample(paths) {
        Ok(caught) => {
            let fate = match caught.by.first() {
                Some(_) => Fate::Passed,
                None => Fate::Failed("no test notices this planted defect".to_owned()),
            };
            (format!("defect-{}", caught.name), fate)
        }
        Err(error) => ("defect".to_owned(), Fate::Failed(format!("{error:#}"))),
    };
    let wall = started.elapsed();
    report.spend(matrix::HOST, wall);
    report.add(&name, 1, fate, wall, None);
}

fn has_image(paths: &Paths, arch: Arch) -> bool {
    paths
        .source(&arch.image_crate())
        .join("Cargo.toml")
        .is_file()
}

/// Tests that passed and failed, from cargo's `test result:` lines.
fn counts(text: &str) -> (u64, u64) {
    let mut sums = (0, 0);
    for line in text.lines().filter(|line| line.starts_with("test result:")) {
        let before = |what: &str| -> u64 {
            let words: Vec<&str> = line.split_whitespace().collect();
            words
                .windows(2)
                .find(|pair| pair[1].trim_end_matches(';') == what)
                .and_then(|pair| pair[0].parse().ok())
                .unwrap_or(0)
        };
        sums.0 += before("passed");
        sums.1 += before("failed");
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_own_counts_are_added_up() {
        let text = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured\n\
                    running 2 tests\n\
                    test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured\n";
        assert_eq!(counts(text), (15, 2));
        assert_eq!(counts("nothing"), (0, 0));
    }
}
