// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long blackouts were, in classes each twice as wide as the one before.
//!
//! Blackouts of one machine differ by less than a factor of ten as a rule, and what
//! matters is the tail: so classes are powers of two, and where there are more than
//! fit, it is the short ones that are put together.

/// One class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// From what on, in words.
    pub(super) from: String,
    /// How many.
    pub(super) count: u64,
}

/// Sorts `ticks` into at most `most` classes; none if there are none.
pub(super) fn classes(ticks: &[u64], khz: u64, most: usize) -> Vec<Class> {
    let powers: Vec<u32> = ticks
        .iter()
        .map(|ticks| nanoseconds(*ticks, khz).max(1).ilog2())
        .collect();
    let (Some(&least), Some(&longest)) = (powers.iter().min(), powers.iter().max()) else {
        return Vec::new();
    };
    let most = u32::try_from(most.max(1)).unwrap_or(u32::MAX);
    let first = least.max(longest.saturating_sub(most - 1));
    (first..=longest)
        .map(|power| Class {
            from: from(power, first > least && power == first, khz),
            count: powers
                .iter()
                .filter(|one| (**one).max(first) == power)
                .count() as u64,
        })
        .collect()
}

/// Nanoseconds; ticks where the clock's frequency is not known.
fn nanoseconds(ticks: u64, khz: u64) -> u64 {
    if khz == 0 {
        return ticks;
    }
    let exact = u128::from(ticks) * 1_000_000 / u128::from(khz);
    u64::try_from(exact).unwrap_or(u64::MAX)
}

fn from(power: u32, and_less: bool, khz: u64) -> String {
    let value = 1u64 << power;
    let text = match value {
        _ if khz == 0 => format!("{value} ticks"),
        0..1_024 => format!("{value} ns"),
        1_024..1_048_576 => format!("{:.0} us", value as f64 / 1e3),
        1_048_576..1_073_741_824 => format!("{:.0} ms", value as f64 / 1e6),
        _ => format!("{:.1} s", value as f64 / 1e9),
    };
    format!("{} {text}", if and_less { "<" } else { ">" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(classes: &[Class]) -> Vec<u64> {
        classes.iter().map(|class| class.count).collect()
    }

    #[test]
    fn nothing_is_lost_and_the_tail_is_kept() {
        assert!(classes(&[], 1, 8).is_empty());
        // 1 GHz: a tick is a nanosecond.
        let ticks = [1_100, 1_200, 2_100, 9_000, 9_100, 70_000];
        let all = classes(&ticks, 1_000_000, 8);
        assert_eq!(counts(&all), [2, 1, 0, 2, 0, 0, 1]);
        assert_eq!(all[0].from, "> 1 us");
        let few = classes(&ticks, 1_000_000, 3);
        assert_eq!(counts(&few), [5, 0, 1]);
        assert!(few[0].from.starts_with('<'), "{:?}", few[0]);
        assert_eq!(classes(&ticks, 0, 1)[0].from, "< 65536 ticks");
        assert_eq!(counts(&classes(&[0, u64::MAX], 1, 2)), [1, 1]);
    }
}
