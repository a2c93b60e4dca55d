// SPDX-License-Identifier: MIT OR Apache-2.0
//! A switch on four CPUs, made up, through the file into both forms.

use super::file::Recording;
use super::timeline::{Lane, Timeline};
use super::*;
use mercury_device::{Event, Info, Origin, Record, Sample, SampleKind};
use serde_json::Value;
use std::collections::BTreeMap;

const CPUS: u32 = 4;

fn record(sequence: u64, ticks: u64, event: Event, cpu: Option<u32>) -> Record {
    Record {
        sequence,
        ticks,
        code: event as u16,
        level: event.level() as u8,
        origin: Origin::Image,
        cpu,
        arguments: [0; 5],
    }
}

fn sample(sequence: u64, kind: SampleKind, cpu: Option<u32>, begin: u64, end: u64) -> Sample {
    Sample {
        sequence,
        kind,
        cpu,
        begin,
        end,
    }
}

/// An attach: CPU after CPU, 2 us each, at 1 GHz.
fn recording() -> Recording {
    let mut recording = Recording::new(&Info {
        abi: 1,
        testing: false,
        architecture: "x86_64".to_owned(),
        backend: "svm".to_owned(),
        image_name: String::new(),
        image_sha256: [0; 32],
        version: "0.1.0".to_owned(),
        tsc_khz: 1_000_000,
    });
    let mut records = vec![record(1, 1_000_000, Event::AttachBegins, None)];
    let mut samples = Vec::new();
    for cpu in 0..CPUS {
        let begin = 1_100_000 + 3_000 * u64::from(cpu);
        let sequence = u64::from(cpu) + 1;
        samples.push(sample(
            sequence,
            SampleKind::AttachBlackout,
            Some(cpu),
            begin,
            begin + 2_000,
        ));
        records.push(record(sequence + 1, begin + 500, Event::Entered, Some(cpu)));
    }
    samples.push(sample(
        5,
        SampleKind::AttachSwitch,
        None,
        1_100_000,
        1_111_000,
    ));
    samples.push(sample(
        6,
        SampleKind::AttachCall,
        None,
        1_000_000,
        1_200_000,
    ));
    let mut exit = record(9, 1_150_000, Event::Exit, Some(3));
    exit.arguments = [0, 1, 0, 0, 0];
    records.push(exit);
    recording.add(&records, &samples);
    recording
}

#[test]
fn what_was_overwritten_is_counted() {
    // Records 6 to 8 are missing.
    assert_eq!(recording().lost, 3);
}

#[test]
fn a_file_comes_back_as_it_was_and_others_are_refused() {
    let folder = std::env::temp_dir().join(format!("mercury-trace-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("trace");
    recording().write(&path).unwrap();
    let value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    crate::command::assert_documented(&value);
    let read = Recording::read(&path).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
    for wrong in ["", "{}", "[1]"] {
        fs::write(&path, wrong).unwrap();
        assert!(Recording::read(&path).is_err());
    }
    let mut newer = recording();
    newer.trace = 2;
    newer.write(&path).unwrap();
    let error = Recording::read(&path).unwrap_err().to_string();
    assert!(error.contains("version 2"), "{error}");
    fs::remove_dir_all(&folder).unwrap();
}

/// The Trace Event Format as its readers want it: every event whole, every thread
/// named, spans of a thread nested or apart.
#[test]
fn perfetto_opens_a_switch_as_a_lane_for_each_cpu() {
    let document = chrome::document(&Timeline::new(&recording()));
    let events = document["traceEvents"].as_array().unwrap();
    let mut names = BTreeMap::new();
    let mut spans: BTreeMap<u64, Vec<(f64, f64, String)>> = BTreeMap::new();
    for event in events {
        assert_eq!(event["pid"], 1);
        let thread = event["tid"].as_u64().unwrap();
        let name = event["name"].as_str().unwrap();
        match event["ph"].as_str().unwrap() {
            "M" if name == "thread_name" => {
                let whose = event["args"]["name"].as_str().unwrap().to_owned();
                assert!(names.insert(thread, whose).is_none(), "{event}");
            }
            "M" => assert!(event["args"].is_object()),
            "X" => {
                let (begin, length) = (
                    event["ts"].as_f64().unwrap(),
                    event["dur"].as_f64().unwrap(),
                );
                assert!(begin >= 0.0 && length >= 0.0, "{event}");
                let here = spans.entry(thread).or_default();
                here.push((begin, begin + length, name.to_owned()));
            }
            "i" => {
                assert!(event["ts"].as_f64().unwrap() >= 0.0 && event["s"] == "t");
                assert!(event["args"]["message"].is_string());
            }
            other => panic!("{other} in {event}"),
        }
    }
    let lanes: Vec<&str> = names.values().map(String::as_str).collect();
    assert_eq!(lanes, ["machine", "CPU 0", "CPU 1", "CPU 2", "CPU 3"]);
    for (thread, spans) in &spans {
        assert!(names.contains_key(thread));
        for (at, one) in spans.iter().enumerate() {
            for other in &spans[at + 1..] {
                let apart = other.0 >= one.1 || other.1 <= one.0;
                let nested = other.0 >= one.0 && other.1 <= one.1;
                assert!(apart || nested, "{one:?} crosses {other:?}");
            }
        }
    }
    // The last CPU: its blackout from 109 us on, with both phases in it.
    let last = &spans[&5];
    let found: Vec<&str> = last.iter().map(|span| span.2.as_str()).collect();
    assert_eq!(
        found,
        ["blackout, going in", "door, checks", "guest state, entry"]
    );
    assert_eq!((last[0].0, last[0].1, last[1].1), (109.0, 111.0, 109.5));
    let exit = events
        .iter()
        .find(|event| event["name"] == "exit: hypercall status");
    assert_eq!(exit.unwrap()["tid"], 5);
    assert_eq!(document["otherData"]["lost"], "3");
}

#[test]
fn a_picture_has_a_bar_for_each_cpu() {
    let timeline = Timeline::new(&recording());
    assert_eq!(timeline.lanes[0], Lane::Machine);
    let svg = picture::draw(&timeline).unwrap();
    for cpu in 0..CPUS {
        assert!(svg.contains(&format!(">CPU {cpu}<")), "{svg}");
    }
    assert_eq!(svg.matches("fill=\"#e08a2c\"/>").count(), 4, "{svg}");
    assert!(
        svg.contains(">2.0 us<") && svg.contains(">11.0 us<"),
        "{svg}"
    );
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    let nothing = Recording::default();
    assert!(picture::draw(&Timeline::new(&nothing)).is_none());
    let answer = record::Answer {
        recorded: "mercury.trace".to_owned(),
        records: 1,
        samples: 1,
        lost: 0,
        command: None,
    };
    crate::command::assert_documented(&serde_json::to_value(&answer).unwrap());
}
