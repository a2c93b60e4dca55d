// SPDX-License-Identifier: MIT OR Apache-2.0
//! Free memory over time: whether something is lost at each round trip.

use crate::machine;
use anyhow::{Context, Result};

/// Free memory in KiB after everything that can be given back was.
pub(crate) fn free_kib() -> Result<i64> {
    // Once empties the caches, once more what emptying them left behind.
    machine::write("/proc/sys/vm/drop_caches", "3")?;
    machine::write("/proc/sys/vm/drop_caches", "3")?;
    field("MemFree:")
}

/// Memory in KiB that processes could still get.
pub(crate) fn available_kib() -> Result<i64> {
    field("MemAvailable:")
}

fn field(name: &str) -> Result<i64> {
    machine::read("/proc/meminfo")?
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("/proc/meminfo has no '{name}'"))
}

/// Free memory at several moments, each with the round trips made by then.
#[derive(Debug, Default)]
pub(crate) struct Trend {
    points: Vec<(f64, f64)>,
}

impl Trend {
    pub(crate) fn note(&mut self, trips: u64) -> Result<()> {
        self.points.push((trips as f64, free_kib()? as f64));
        Ok(())
    }

    /// KiB gained (or, negative, lost) per round trip: the median of the slopes
    /// between all pairs of points (Theil and Sen), which a few odd points do
    /// not move.
    pub(crate) fn slope(&self) -> f64 {
        let mut slopes = Vec::new();
        for (index, (x, y)) in self.points.iter().enumerate() {
            for (later, value) in &self.points[index + 1..] {
                if later > x {
                    slopes.push((value - y) / (later - x));
                }
            }
        }
        slopes.sort_by(f64::total_cmp);
        slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
    }

    /// The first and the last point.
    pub(crate) fn ends(&self) -> (i64, i64) {
        let value = |point: Option<&(f64, f64)>| point.map_or(0, |(_, free)| *free as i64);
        (value(self.points.first()), value(self.points.last()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_a_slope_and_noise_is_not() {
        let leak = |per_trip: f64| Trend {
            points: (0..20)
                .map(|step| {
                    let trips = f64::from(step) * 50.0;
                    let noise = f64::from(step * 7919 % 13) * 20.0;
                    (trips, 100_000.0 - trips * per_trip + noise)
                })
                .collect(),
        };
        assert!(leak(0.0).slope().abs() < 0.5);
        assert!(leak(4.0).slope() < -3.0);
    }
}
