// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times on the command line: `30s`, `5m`, `1h`, `1h30m`.
//!
//! A number without a unit is refused: for the rope that brings a remote
//! machine back, seconds mistaken for minutes matter.

use std::time::Duration;

/// The longest time: what the module can count.
const LONGEST: u64 = u32::MAX as u64;

/// Reads a time.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut seconds: u64 = 0;
    let mut digits = String::new();
    let mut last_unit = u64::MAX;
    for character in text.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let unit = match character {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            other => {
                return Err(format!(
                    "`{other}` is no unit: write s, m or h, as in 30s or 1h30m"
                ));
            }
        };
        if unit >= last_unit {
            return Err("units go from hours to seconds, each once, as in 1h30m".to_owned());
        }
        let count: u64 = digits
            .parse()
            .map_err(|_| format!("no number before `{character}`"))?;
        digits.clear();
        last_unit = unit;
        seconds = count
            .checked_mul(unit)
            .and_then(|more| seconds.checked_add(more))
            .filter(|&seconds| seconds <= LONGEST)
            .ok_or_else(|| format!("too long: at most {LONGEST} seconds"))?;
    }
    if !digits.is_empty() || text.is_empty() {
        return Err("the unit is missing: write s, m or h, as in 30s".to_owned());
    }
    if seconds == 0 {
        return Err("a time of nothing would detach at once".to_owned());
    }
    Ok(Duration::from_secs(seconds))
}

/// Writes a number of seconds as it is read.
pub(crate) fn render(seconds: u32) -> String {
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let text: String = parts
        .iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_alike() {
        for (text, seconds) in [
            ("1s", 1),
            ("30s", 30),
            ("5m", 300),
            ("1h", 3600),
            ("1h30m", 5400),
            ("2h5s", 7205),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(render(seconds as u32), text);
        }
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(render(90), "1m30s");
        assert_eq!(render(0), "0s");
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            "",
            "30",
            "s",
            "0s",
            "-1s",
            "1.5h",
            "30m1h",
            "1s1s",
            "5d",
            "30 s",
            "1h30",
            "99999999999999999999s",
            "4294967296s",
            "1193047h",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(parse("4294967295s").is_ok());
    }
}
