// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture from made-up answers, and the keys.

use super::*;
use mercury_device::{
    CpuState, CpuStatus, Exits, Info, Ledger, Memory, Sample, SampleKind, Stage2, State, Status,
    Totals,
};
use ratatui::crossterm::event::KeyEvent;

fn status(cpus: u32, hypercalls: u64, stores: u64) -> Status {
    let mut exits = Exits::default();
    exits.0[0] = hypercalls;
    exits.0[5] = stores;
    Status {
        state: State::Attached,
        cpus_possible: cpus,
        cpus_online: cpus,
        cpus: (0..cpus)
            .map(|cpu| CpuStatus {
                cpu,
                state: CpuState::Attached,
                exits,
                entries: 1,
                why: 0,
            })
            .collect(),
        rope_seconds_left: Some(90),
        memory: Memory {
            image: 64 << 10,
            lent: 308 << 10,
            ..Memory::default()
        },
        stage2: Stage2::default(),
        ledger: Ledger::default(),
        totals: Totals::default(),
        kept_image: 28 << 10,
    }
}

fn history(cpus: u32) -> History {
    let mut history = History::new(Info {
        abi: 1,
        testing: false,
        architecture: "x86_64".to_owned(),
        backend: "svm".to_owned(),
        image_name: String::new(),
        image_sha256: [0; 32],
        version: "0.1.0".to_owned(),
        tsc_khz: 1_000_000,
    });
    let samples = (1..=4).map(|sequence| Sample {
        sequence,
        kind: SampleKind::AttachBlackout,
        cpu: Some(0),
        begin: 0,
        end: 1000 * sequence,
    });
    let then = Instant::now();
    history.add(then, status(cpus, 10, 1), samples.collect(), 5);
    let now = then + Duration::from_secs(2);
    history.add(now, status(cpus, 16, 501), vec![], 5);
    history
}

#[test]
fn all_that_was_asked_for_is_in_the_picture() {
    let text = picture(&history(2), 100, 30).unwrap();
    for part in [
        "mercury 0.1.0 (svm)  attached: 2 of 2 online CPUs are guests (2 possible)\nrope: detaches by itself in 1m30s\n",
        "0    attached  1       517       253       hole-store 501 (250/s), hypercall 16 (3.0/s)",
        " last 4 blackouts, going in ",
        " last 0 blackouts, going out ",
        "none yet",
        "hole    1002 stores dropped (500/s), 0 accesses refused (0.0/s)",
        "memory  308 KiB lent: image 64 KiB",
        "\n        nested tables 0 B, shared 0 B, spare 0 B\n",
        "q ends",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert_eq!(text.matches("> 2 us").count(), 1, "{text}");
}

#[test]
fn a_cpu_that_went_in_meanwhile_has_no_rate() {
    let mut history = history(1);
    let mut again = status(1, 3, 0);
    again.cpus[0].entries = 2;
    history.add(Instant::now() + Duration::from_secs(9), again, vec![], 5);
    let text = picture(&history, 100, 30).unwrap();
    assert!(
        text.contains("0    attached  2       3         -         hypercall 3"),
        "{text}"
    );
}

#[test]
fn more_cpus_than_fit_are_moved_and_small_screens_are_survived() {
    let history = history(64);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let mut first_row = 1000;
    terminal
        .draw(|frame| view::draw(frame, &history, &mut first_row))
        .unwrap();
    assert!(first_row < 64 && first_row > 50, "{first_row}");
    let text = picture(&history, 80, 24).unwrap();
    assert!(
        text.contains("\n0    attached") && !text.contains("\n63   attached"),
        "{text}"
    );
    for (width, height) in [(1, 1), (3, 40), (200, 2)] {
        picture(&history, width, height).unwrap();
    }
}

#[test]
fn keys() {
    let press = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
    assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), Wish::End);
    assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Wish::End);
    assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), Wish::Nothing);
    assert_eq!(press(KeyCode::Down, KeyModifiers::NONE), Wish::Down);
    assert_eq!(wish(&Event::FocusGained), Wish::Nothing);
}
