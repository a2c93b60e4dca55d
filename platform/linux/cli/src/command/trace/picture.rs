// SPDX-License-Identifier: MIT OR Apache-2.0
//! One switch as a picture (SVG): a lane for each CPU, its blackout on it in two
//! phases, the whole switch above, and a scale.
//!
//! Of several switches the last one in is drawn, else the last one out. Blackouts are
//! short beside the switch, so each has its length written beside it.

use super::timeline::{Lane, Span, Timeline};
use mercury_device::SampleKind;
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 120.0;
const LANE: f64 = 34.0;
const TOP: f64 = 46.0;
/// Thinner than this nobody sees.
const LEAST: f64 = 1.5;

/// Draws it; nothing if there is no switch.
pub(super) fn draw(timeline: &Timeline) -> Option<String> {
    let last = |kind: SampleKind| {
        let mut these = timeline
            .spans
            .iter()
            .filter(|span| span.kind == kind.code());
        these.next_back()
    };
    let (switch, blackout) = match last(SampleKind::AttachSwitch) {
        Some(switch) => (switch, SampleKind::AttachBlackout),
        None => (last(SampleKind::DetachSwitch)?, SampleKind::DetachBlackout),
    };
    let within = |span: &&Span| {
        span.kind == blackout.code() && span.begin >= switch.begin && span.end <= switch.end
    };
    let spans: Vec<&Span> = timeline.spans.iter().filter(within).collect();
    let lanes: Vec<Lane> = timeline
        .lanes
        .iter()
        .copied()
        .filter(|lane| spans.iter().any(|span| span.lane == *lane))
        .collect();
    let length = (switch.end - switch.begin).max(f64::MIN_POSITIVE);
    let across = |time: f64| LEFT + (time - switch.begin) / length * (WIDTH - LEFT - RIGHT);
    let bottom = TOP + LANE * (lanes.len() as f64 + 1.0);
    let mut svg = head(timeline, switch, bottom + 40.0);
    bar(
        &mut svg,
        "machine",
        0,
        "#8a8f98",
        across(switch.begin),
        across(switch.end),
    );
    label(&mut svg, 0, across(switch.end), length);
    for (row, lane) in (1..).zip(&lanes) {
        let Lane::Cpu(cpu) = lane else { continue };
        let mine = spans.iter().filter(|span| span.lane == *lane);
        for span in mine.clone().filter(|span| !span.inner) {
            let (begin, end) = (across(span.begin), across(span.end));
            bar(&mut svg, &format!("CPU {cpu}"), row, "#2f6fb0", begin, end);
            label(&mut svg, row, end, span.end - span.begin);
        }
        // The second phase in another colour, over the blackout's bar.
        for span in mine.filter(|span| span.inner && ends_one(span, &spans)) {
            bar(
                &mut svg,
                "",
                row,
                "#e08a2c",
                across(span.begin),
                across(span.end),
            );
        }
    }
    scale(&mut svg, bottom, length);
    svg += "</svg>\n";
    Some(svg)
}

/// Whether this phase is the last of its blackout.
fn ends_one(phase: &Span, spans: &[&Span]) -> bool {
    let whole = spans.iter().find(|span| {
        !span.inner && span.lane == phase.lane && span.begin <= phase.begin && span.end >= phase.end
    });
    whole.is_some_and(|whole| phase.end >= whole.end && phase.begin > whole.begin)
}

fn head(timeline: &Timeline, switch: &Span, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-weight=\"bold\">{}: {}</text>\n\
         <text x=\"{LEFT}\" y=\"37\" font-size=\"11\"><tspan fill=\"#2f6fb0\">IRQs off: first phase</tspan>  \
         <tspan fill=\"#e08a2c\">IRQs off: second phase</tspan>  \
         <tspan fill=\"#5a5f68\">elsewhere on the lanes Linux runs</tspan></text>\n",
        timeline.title, switch.name
    )
}

fn bar(svg: &mut String, name: &str, row: u32, colour: &str, begin: f64, end: f64) {
    let y = TOP + LANE * f64::from(row);
    let width = (end - begin).max(LEAST);
    if !name.is_empty() {
        let (middle, right) = (y + 17.0, WIDTH - RIGHT);
        let line = y + 12.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>\n\
             <line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{line}\" y2=\"{line}\" stroke=\"#d5d8dd\"/>",
            LEFT - 10.0
        );
    }
    let _ = writeln!(
        svg,
        "<rect x=\"{begin:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"24\" fill=\"{colour}\"/>"
    );
}

fn label(svg: &mut String, row: u32, after: f64, microseconds: f64) {
    let y = TOP + LANE * f64::from(row) + 17.0;
    let _ = writeln!(
        svg,
        "<text x=\"{:.2}\" y=\"{y}\" font-size=\"11\">{}</text>",
        after + 6.0,
        time(microseconds)
    );
}

fn scale(svg: &mut String, y: f64, length: f64) {
    for part in 0..=4u32 {
        let share = f64::from(part) / 4.0;
        let x = LEFT + share * (WIDTH - LEFT - RIGHT);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"{TOP}\" y2=\"{y}\" stroke=\"#eceef1\"/>\n\
             <text x=\"{x:.2}\" y=\"{}\" font-size=\"11\" text-anchor=\"middle\">{}</text>",
            y + 18.0,
            time(share * length)
        );
    }
}

fn time(microseconds: f64) -> String {
    if microseconds >= 1000.0 {
        format!("{:.2} ms", microseconds / 1000.0)
    } else {
        format!("{microseconds:.1} us")
    }
}
