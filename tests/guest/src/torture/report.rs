// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is printed at the end, for people or as JSON (docs/json.md).

use super::gaps::Histograms;
use super::rounds::{Acts, Played, Player};
use crate::figures;
use anyhow::Result;
use mercury_device::Device;
use serde_json::{Value, json};

/// All that there is to say of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) left_out: Vec<(&'static str, String)>,
    pub(super) native: Played,
    pub(super) trips: Played,
    pub(super) said: Vec<(&'static str, String)>,
    pub(super) workload: Vec<String>,
    pub(super) free_kib: (i64, i64),
    pub(super) slope: f64,
}

impl Report {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            left_out: Vec::new(),
            native: Played::default(),
            trips: Played::default(),
            said: Vec::new(),
            workload: Vec::new(),
            free_kib: (0, 0),
            slope: 0.0,
        }
    }

    fn acts(&self, name: &str) -> Acts {
        self.trips.acts.get(name).copied().unwrap_or_default()
    }

    /// Those that were in the middle of a switch less often than that.
    pub(super) fn seldom(&self, players: &[Player], few: u64) -> Vec<String> {
        let names = players.iter().map(|player| player.kind.name);
        names
            .filter(|name| self.acts(name).in_the_middle < few)
            .map(|name| format!("{name} ({})", self.acts(name).in_the_middle))
            .collect()
    }

    pub(super) fn print(&self, players: &[Player], json: bool) {
        if json {
            println!("{}", self.to_json(players));
        } else {
            self.print_text(players);
        }
    }

    /// For `make record`.
    pub(super) fn tell(&self, device: &Device, players: &[Player]) -> Result<()> {
        let tally = &self.trips.tally;
        let escapes = tally.escapes.len() as u64;
        figures::tell(device, "round trips", "trips", tally.trips, None)?;
        figures::tell(device, "escapes", "CPUs", escapes, Some(0))?;
        for player in players {
            let name = format!("{} in mid-switch", player.kind.name);
            let amid = self.acts(player.kind.name).in_the_middle;
            figures::tell(device, &name, "acts", amid, None)?;
        }
        Ok(())
    }

    fn print_text(&self, players: &[Player]) {
        println!(
            "{:<16} {:>8} {:>8} {:>8}",
            "disturbance", "acts", "amid", "refused"
        );
        for player in players {
            let (name, acts) = (player.kind.name, self.acts(player.kind.name));
            println!(
                "{name:<16} {:>8} {:>8} {:>8}",
                acts.done, acts.in_the_middle, acts.refused
            );
        }
        for (name, said) in &self.said {
            println!("{name}: {said}");
        }
        println!("workload: {}", self.workload.join("\nworkload: "));
        for (when, played) in [("natively", &self.native), ("while switching", &self.trips)] {
            for (cpu, seen) in &played.gaps {
                let counts: Vec<String> = seen
                    .counts
                    .iter()
                    .map(|(at, count)| format!("{at}: {count}"))
                    .collect();
                println!(
                    "gaps in us {when}, CPU {cpu}: longest {} in {:.1} s of looking; {}",
                    seen.longest,
                    seen.spun as f64 / 1e6,
                    counts.join(", ")
                );
            }
        }
        let (first, last) = self.free_kib;
        let tally = &self.trips.tally;
        println!(
            "torture: seed {}: {} round trips in {} rounds, {} switches, {} CPUs asked while attached, {} proofs, \
             {} escapes; free memory {first} KiB, at the end {last}, {:+.1} per trip; all results right",
            self.seed,
            tally.trips,
            self.trips.rounds,
            self.trips.switches,
            tally.asked,
            tally.proofs,
            tally.escapes.len(),
            self.slope
        );
    }

    fn to_json(&self, players: &[Player]) -> Value {
        let disturbances: Vec<Value> = players
            .iter()
            .map(|player| {
                let acts = self.acts(player.kind.name);
                json!({
                    "name": player.kind.name,
                    "acts": acts.done,
                    "in_mid_switch": acts.in_the_middle,
                    "refused": acts.refused,
                })
            })
            .collect();
        let tally = &self.trips.tally;
        let pairs = |list: &[(&'static str, String)]| -> Value {
            list.iter()
                .map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        json!({
            "seed": self.seed,
            "round_trips": tally.trips,
            "tries": tally.tries,
            "rounds": self.trips.rounds,
            "switches": self.trips.switches,
            "cpus_asked": tally.asked,
            "proofs": tally.proofs,
            "escapes": tally.escapes.len(),
            "disturbances": disturbances,
            "left_out": pairs(&self.left_out),
            "said": pairs(&self.said),
            "gaps_native": gaps(&self.native.gaps),
            "gaps_switching": gaps(&self.trips.gaps),
            "free_kib_first": self.free_kib.0,
            "free_kib_last": self.free_kib.1,
            "free_kib_per_trip": self.slope,
        })
    }
}

fn gaps(histograms: &Histograms) -> Value {
    histograms
        .iter()
        .map(|(cpu, seen)| {
            let counts: Vec<Value> = seen
                .counts
                .iter()
                .map(|(at, count)| json!({"from_microseconds": at, "count": count}))
                .collect();
            json!({
                "cpu": cpu,
                "longest_microseconds": seen.longest,
                "spun_microseconds": seen.spun,
                "counts": counts,
            })
        })
        .collect()
}
