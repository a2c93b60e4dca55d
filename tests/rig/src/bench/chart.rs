// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pairs of bars: ours beside a relative's, each chart an SVG of its own. Lengths are
//! logarithmic, for the two differ by orders of magnitude, and the numbers stand at
//! their ends.

use svg::Document;
use svg::node::element::{Rectangle, Text};

/// One pair.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) label: String,
    pub(super) ours: u64,
    pub(super) theirs: u64,
}

const WIDTH: u32 = 720;
const LEFT: u32 = 90;
const BAR: u32 = 16;
const PAIR: u32 = 48;
const TOP: u32 = 64;
/// Room for the number behind the longest bar.
const NUMBER: u32 = 110;
const OURS: &str = "#2b6cb0";
const THEIRS: &str = "#b7791f";

/// The chart's text.
pub(super) fn bars(title: &str, pairs: &[Pair]) -> String {
    let most = pairs
        .iter()
        .flat_map(|pair| [pair.ours, pair.theirs])
        .max()
        .unwrap_or(1);
    let height = TOP + PAIR * pairs.len() as u32 + 8;
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("font-family", "sans-serif")
        .set("font-size", 12)
        .add(
            Rectangle::new()
                .set("width", WIDTH)
                .set("height", height)
                .set("fill", "#ffffff"),
        )
        .add(text(12, 22, title).set("font-size", 15))
        .add(text(12, 44, "Mercury").set("fill", OURS))
        .add(text(80, 44, "Jailhouse").set("fill", THEIRS))
        .add(text(160, 44, "(logarithmic)"));
    for (number, pair) in pairs.iter().enumerate() {
        let top = TOP + PAIR * number as u32;
        document = document.add(text(12, top + 22, &pair.label));
        for (row, value, colour) in [(0, pair.ours, OURS), (1, pair.theirs, THEIRS)] {
            let y = top + row * (BAR + 2);
            let length = length(value, most);
            document = document
                .add(
                    Rectangle::new()
                        .set("x", LEFT)
                        .set("y", y)
                        .set("width", length)
                        .set("height", BAR)
                        .set("fill", colour),
                )
                .add(text(
                    LEFT + length + 6,
                    y + 13,
                    &super::report::grouped(value),
                ));
        }
    }
    document.to_string() + "\n"
}

fn text(x: u32, y: u32, words: &str) -> Text {
    Text::new(words)
        .set("x", x)
        .set("y", y)
        .set("fill", "#1a202c")
}

/// How long a bar is; the longest fills what there is.
fn length(value: u64, most: u64) -> u32 {
    let of = |value: u64| (value.max(1) as f64).ln_1p();
    let room = f64::from(WIDTH - LEFT - NUMBER);
    (of(value) / of(most) * room).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_room() {
        assert_eq!(length(1_000, 1_000), WIDTH - LEFT - NUMBER);
        assert!(length(10, 1_000) < length(100, 1_000));
    }

    #[test]
    fn a_chart_has_both_numbers() {
        let pair = Pair {
            label: "2 CPUs".into(),
            ours: 222_128,
            theirs: 1_467_232,
        };
        let text = bars("attach", &[pair]);
        assert!(text.starts_with("<svg"));
        assert!(text.contains("222,128") && text.contains("1,467,232"));
    }
}
