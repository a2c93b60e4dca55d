// SPDX-License-Identifier: MIT OR Apache-2.0
//! The metrics from made-up answers, and what Prometheus' own checker says of them.

use super::*;
use mercury_device::{
    CpuState, CpuStatus, Exits, Info, Ledger, Memory, Sample, SampleKind, Stage2, State, Status,
    Totals,
};
use std::process::{Command, Stdio};

fn attached() -> Reading {
    let mut exits = Exits::default();
    exits.0[0] = 12;
    exits.0[5] = 3;
    let cpu = |cpu, state, exits| CpuStatus {
        cpu,
        state,
        exits,
        entries: 2,
        why: 0,
    };
    let sample = |sequence, kind, cpu, ticks: u64| Sample {
        sequence,
        kind,
        cpu,
        begin: 1000,
        end: 1000 + ticks,
    };
    Reading {
        info: Info {
            abi: 1,
            testing: false,
            architecture: "x86_64".to_owned(),
            backend: "svm".to_owned(),
            image_name: "mercury/mercury-x86_64.img".to_owned(),
            image_sha256: [0; 32],
            version: "0.1.0".to_owned(),
            tsc_khz: 1_000_000,
        },
        status: Status {
            state: State::Attached,
            cpus_possible: 2,
            cpus_online: 1,
            cpus: vec![
                cpu(0, CpuState::Attached, exits),
                cpu(1, CpuState::Offline, Exits::default()),
            ],
            rope_seconds_left: Some(30),
            memory: Memory {
                image: 65536,
                ..Memory::default()
            },
            stage2: Stage2::default(),
            ledger: Ledger::default(),
            totals: Totals {
                attaches: 4,
                detaches: 3,
                attaches_refused: 1,
            },
            kept_image: 28 << 10,
        },
        samples: vec![
            sample(1, SampleKind::AttachBlackout, Some(0), 9_000),
            sample(2, SampleKind::AttachBlackout, Some(0), 2_000),
            sample(3, SampleKind::AttachSwitch, None, 5_000),
        ],
    }
}

/// All three kinds of answer.
fn texts() -> Vec<String> {
    let mut switching = attached();
    switching.status.state = State::Switching;
    [Some(attached()), Some(switching), None]
        .iter()
        .map(|reading| families::text(reading.as_ref()).unwrap())
        .collect()
}

#[test]
fn what_is_asked_of_a_machine_is_said() {
    let texts = texts();
    for line in [
        "mercury_module_loaded 1",
        "mercury_state{state=\"attached\"} 1",
        "mercury_state{state=\"native\"} 0",
        "mercury_info{architecture=\"x86_64\",backend=\"svm\",version=\"0.1.0\"} 1",
        "mercury_cpu_state{cpu=\"1\",state=\"offline\"} 1",
        "mercury_exits_total{cpu=\"0\",reason=\"hypercall\"} 12",
        "mercury_exits_total{cpu=\"0\",reason=\"hole-store\"} 3",
        "mercury_memory_bytes{use=\"image\"} 65536",
        "mercury_attaches_total 4",
        "mercury_rope_seconds 30",
        "mercury_last_blackout_seconds{cpu=\"0\",direction=\"attach\"} 0.000002",
        "mercury_last_switch_seconds{direction=\"attach\"} 0.000005",
    ] {
        let found = texts[0].lines().any(|found| found == line);
        assert!(found, "{line} is not in\n{}", texts[0]);
    }
    assert!(!texts[0].contains("mercury_exits_total{cpu=\"1\""));
}

#[test]
fn what_nobody_was_asked_is_absent() {
    let texts = texts();
    assert!(texts[1].contains("mercury_state{state=\"switching\"} 1"));
    assert!(!texts[1].contains("mercury_exits_total"));
    assert!(!texts[1].contains("mercury_memory_bytes"));
    assert_eq!(
        texts[2].lines().last(),
        Some("mercury_module_loaded 0"),
        "{}",
        texts[2]
    );
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let folder = std::env::temp_dir().join(format!("mercury-metrics-{}", process::id()));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("mercury.prom");
    fs::write(&path, "old").unwrap();
    replace(&path, "new\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    // What cannot be put in its place leaves the old one, and nothing beside it.
    let blocked = folder.join("blocked.prom");
    fs::create_dir_all(blocked.join("in the way")).unwrap();
    let error = replace(&blocked, "new\n").unwrap_err();
    assert!(format!("{error:#}").contains("blocked.prom"), "{error:#}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    assert!(replace(Path::new("/"), "new\n").is_err());
    fs::remove_dir_all(&folder).unwrap();
}

/// `make check` fetches promtool and runs this by name.
#[test]
#[ignore = "needs promtool, in MERCURY_PROMTOOL"]
fn promtool_finds_no_fault() {
    let promtool = std::env::var_os("MERCURY_PROMTOOL").expect("MERCURY_PROMTOOL is not set");
    let check = |text: &str| {
        let mut child = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    for text in texts() {
        let (good, said) = check(&text);
        assert!(good && said.is_empty(), "promtool says {said} of\n{text}");
    }
    // It would not be silent about everything.
    assert!(!check("# TYPE mercury_exits_total counter\nmercury_exits_total{ 1\n").0);
}
