// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is on the screen: mode, CPUs, blackouts, hole, memory.
//!
//! Nothing is said by colour alone. Where the terminal is too small for all, the table
//! of CPUs keeps its heading and can be moved; the rest is cut off.

use super::histogram::{Class, classes};
use super::history::History;
use crate::duration;
use crate::table::bytes;
use mercury_device::{CpuState, CpuStatus, ExitReason, SampleKind, State, Status};
use ratatui::Frame;
use ratatui::layout::{Constraint, Direction, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Bar, BarChart, BarGroup, Block, Borders, Paragraph, Row, Table};

/// Rows of the histograms.
const CLASSES: u16 = 7;

/// Draws all; `first_row` is the first CPU that is shown, and is put right.
pub(super) fn draw(frame: &mut Frame<'_>, history: &History, first_row: &mut usize) {
    let Some(status) = history.status() else {
        return;
    };
    let [head, cpus, middle, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(3),
        Constraint::Length(CLASSES + 2),
        Constraint::Length(8),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(history, status)), head);
    table(frame, cpus, history, status, first_row);
    let [left, right] = Layout::horizontal([Constraint::Fill(1); 2]).areas(middle);
    blackouts(frame, left, history, SampleKind::AttachBlackout, "going in");
    blackouts(
        frame,
        right,
        history,
        SampleKind::DetachBlackout,
        "going out",
    );
    frame.render_widget(
        Paragraph::new(holdings(history, status)).block(Block::new().borders(Borders::TOP)),
        foot,
    );
}

fn heading(history: &History, status: &Status) -> Vec<Line<'static>> {
    let colour = match status.state {
        State::Attached => Color::Green,
        State::Mixed => Color::Red,
        State::Native => Color::Reset,
        State::Switching | State::Unknown(_) => Color::Yellow,
    };
    let style = Style::new().fg(colour).add_modifier(Modifier::BOLD);
    let guests = status
        .cpus
        .iter()
        .filter(|cpu| cpu.state == CpuState::Attached)
        .count();
    let cpus = if status.state == State::Switching {
        ": the CPUs were not asked".to_owned()
    } else {
        format!(
            ": {guests} of {} online CPUs are guests ({} possible)",
            status.cpus_online, status.cpus_possible
        )
    };
    let rope = status.rope_seconds_left.map_or_else(String::new, |left| {
        format!("rope: detaches by itself in {}", duration::render(left))
    });
    let info = &history.info;
    vec![
        Line::from(vec![
            Span::raw(format!("mercury {} ({})  ", info.version, info.backend)),
            Span::styled(status.state.to_string(), style),
            Span::raw(cpus),
        ]),
        Line::from(rope),
    ]
}

/// A rate as short as it may be.
fn rate(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.1}"),
    }
}

/// The reasons that there were, the most frequent first.
fn reasons(history: &History, cpu: &CpuStatus) -> String {
    let mut all: Vec<(ExitReason, u64)> =
        cpu.exits.iter().filter(|(_, count)| *count != 0).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let parts = all.iter().map(|(reason, count)| {
        let a_second = history.rate(cpu, *reason).filter(|rate| *rate > 0.0);
        let a_second =
            a_second.map_or_else(String::new, |value| format!(" ({}/s)", rate(Some(value))));
        format!("{reason} {count}{a_second}")
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    history: &History,
    status: &Status,
    first_row: &mut usize,
) {
    let shown = usize::from(area.height.saturating_sub(1));
    *first_row = (*first_row).min(status.cpus.len().saturating_sub(shown));
    let rows = status.cpus.iter().skip(*first_row).map(|cpu| {
        Row::new([
            cpu.cpu.to_string(),
            cpu.state.to_string(),
            cpu.entries.to_string(),
            cpu.exits.total().to_string(),
            rate(history.whole_rate(cpu)),
            reasons(history, cpu),
        ])
    });
    let widths = [
        Constraint::Length(4),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Fill(1),
    ];
    let heading = Row::new(["cpu", "state", "entries", "exits", "a second", "by reason"])
        .style(Style::new().add_modifier(Modifier::BOLD));
    frame.render_widget(Table::new(rows, widths).header(heading), area);
}

fn blackouts(frame: &mut Frame<'_>, area: Rect, history: &History, kind: SampleKind, name: &str) {
    let ticks = history.ticks(kind);
    let classes = classes(&ticks, history.info.tsc_khz, usize::from(CLASSES));
    let title = format!(" last {} blackouts, {name} ", ticks.len());
    let block = Block::new().borders(Borders::TOP).title(title);
    if classes.is_empty() {
        let text = Paragraph::new("none yet").block(block);
        frame.render_widget(text, area);
        return;
    }
    let width = classes
        .iter()
        .map(|class| class.from.len())
        .max()
        .unwrap_or(0);
    let bar = |class: &Class| {
        Bar::default()
            .label(Line::from(format!("{:>width$}", class.from)))
            .value(class.count)
            .text_value(class.count.to_string())
    };
    let bars: Vec<Bar<'_>> = classes.iter().map(bar).collect();
    let chart = BarChart::default()
        .block(block)
        .direction(Direction::Horizontal)
        .data(BarGroup::default().bars(&bars))
        .bar_gap(0);
    frame.render_widget(chart, area);
}

fn holdings(history: &History, status: &Status) -> Vec<Line<'static>> {
    let sum = |reason| -> u64 { status.cpus.iter().map(|cpu| cpu.exits.of(reason)).sum() };
    let a_second = |reason| {
        let all = status
            .cpus
            .iter()
            .filter_map(|cpu| history.rate(cpu, reason));
        rate(Some(all.sum()))
    };
    let (memory, stage2) = (&status.memory, &status.stage2);
    let hole = format!(
        "hole    {} stores dropped ({}/s), {} accesses refused ({}/s)",
        sum(ExitReason::HoleStore),
        a_second(ExitReason::HoleStore),
        sum(ExitReason::HoleRefused),
        a_second(ExitReason::HoleRefused)
    );
    let lent = if memory.lent == 0 {
        "memory  none is lent".to_owned()
    } else {
        format!(
            "memory  {} lent: image {}, per CPU {}, own tables {},\n        \
             nested tables {}, shared {}, spare {}",
            bytes(memory.lent),
            bytes(memory.image),
            bytes(memory.per_cpu),
            bytes(memory.host_tables),
            bytes(memory.stage2),
            bytes(memory.shared),
            bytes(memory.spare)
        )
    };
    let map = format!(
        "map     {} leaves of 1 GiB, {} of 2 MiB, {} of 4 KiB; {} mapped on demand",
        stage2.leaves_1g, stage2.leaves_2m, stage2.leaves_4k, stage2.mapped_on_demand
    );
    let totals = format!(
        "so far  {} attaches, {} detaches, {} refused",
        status.totals.attaches, status.totals.detaches, status.totals.attaches_refused
    );
    let keys = "q ends; up and down move the table. Each look costs a guest CPU some hypercalls.";
    [hole, lent, map, totals, String::new(), keys.to_owned()]
        .iter()
        .flat_map(|text| text.split('\n'))
        .map(|line| Line::from(line.to_owned()))
        .collect()
}
