// SPDX-License-Identifier: MIT OR Apache-2.0
//! `status` from made-up answers of the module.

use super::*;
use mercury_device::{Exits, Origin};
use serde_json::json;

fn mixed() -> (Status, Vec<Record>) {
    let mut exits = Exits::default();
    exits.0[0] = 12;
    exits.0[3] = 2;
    exits.0[14] = 1;
    let cpu = |cpu, state, why| CpuStatus {
        cpu,
        state,
        exits: Exits::default(),
        entries: 3,
        why,
    };
    let status = Status {
        state: State::Mixed,
        cpus_possible: 3,
        cpus_online: 2,
        cpus: vec![
            CpuStatus {
                exits,
                ..cpu(0, CpuState::Attached, 0)
            },
            cpu(1, CpuState::Native, 71),
            cpu(2, CpuState::Offline, 0),
        ],
        rope_seconds_left: Some(90),
        memory: mercury_device::Memory {
            image: 256 << 10,
            per_cpu: 128 << 10,
            host_tables: 16 << 10,
            stage2: 40 << 10,
            shared: 24 << 10,
            spare: 48 << 10,
            lent: 512 << 10,
        },
        stage2: mercury_device::Stage2 {
            levels: 4,
            leaves_1g: 1023,
            leaves_2m: 511,
            leaves_4k: 512,
            mapped_on_demand: 0,
        },
        ledger: mercury_device::Ledger {
            pages: 128,
            maps: 3,
            notifiers: 2,
            hotplug_states: 1,
        },
        totals: mercury_device::Totals {
            attaches: 5,
            detaches: 4,
            attaches_refused: 1,
        },
        kept_image: 28 << 10,
    };
    let record = |sequence, cpu, code, first| Record {
        sequence,
        ticks: 0,
        code,
        level: 1,
        origin: Origin::Module,
        cpu: Some(cpu),
        arguments: [first, 0, 0, 0, 0],
    };
    // An older failure of the same CPU, the one that counts, one of another.
    (
        status,
        vec![
            record(1, 1, 71, 4),
            record(2, 1, 71, 6),
            record(3, 2, 71, 9),
        ],
    )
}

fn reachable() -> Devices {
    Devices {
        held_off: false,
        reason: "because".to_owned(),
    }
}

#[test]
fn json_is_stable() {
    let (status, records) = mixed();
    let value = serde_json::to_value(answer(&status, &records, reachable())).unwrap();
    let zero = json!({
        "hypercall": 0, "hypercall-refused": 0, "register-read": 0, "register-write": 0,
        "stage2-mapped": 0, "hole-store": 0, "hole-refused": 0, "virtualization": 0,
        "identification": 0, "reset": 0, "interrupt": 0, "other": 0,
    });
    let mut first = zero.clone();
    first["hypercall"] = json!(12);
    first["register-write"] = json!(2);
    first["unknown-14"] = json!(1);
    let message = "cpu came online and could not be attached (code 6): the machine is mixed";
    assert_eq!(
        value,
        json!({
            "state": "mixed",
            "cpus": [
                {"cpu": 0, "state": "attached", "exits": first, "entries": 3, "why": null},
                {"cpu": 1, "state": "native", "exits": zero, "entries": 3,
                 "why": {"event": 71, "message": message}},
                {"cpu": 2, "state": "offline", "exits": zero, "entries": 3, "why": null},
            ],
            "cpus_possible": 3,
            "cpus_online": 2,
            "rope_seconds_left": 90,
            "devices": {"held_off": false, "reason": "because"},
            "memory": {
                "image": 262144, "per_cpu": 131072, "host_tables": 16384, "stage2": 40960,
                "shared": 24576, "spare": 49152, "lent": 524288,
            },
            "stage2": {
                "levels": 4, "leaves_1g": 1023, "leaves_2m": 511, "leaves_4k": 512,
                "mapped_on_demand": 0,
            },
            "ledger": {"pages": 128, "maps": 3, "notifiers": 2, "hotplug_states": 1},
            "totals": {"attaches": 5, "detaches": 4, "attaches_refused": 1},
            "kept_image": 28672,
        })
    );
    let (mut known, _) = mixed();
    known.cpus[0].exits.0[14] = 0;
    crate::command::assert_documented(
        &serde_json::to_value(answer(&known, &records, reachable())).unwrap(),
    );
}

/// The state comes first: `head -2` shows it, and so the issue wants it.
#[test]
fn the_state_is_the_first_key() {
    let (status, records) = mixed();
    let text = serde_json::to_string(&answer(&status, &records, reachable())).unwrap();
    assert!(text.starts_with(r#"{"state":"mixed","cpus":[{"cpu":0,"state":"attached","exits":{"#));
}

#[test]
fn people_see_the_reason_and_only_exits_that_happened() {
    let (status, records) = mixed();
    let answer = answer(&status, &records, reachable());
    let text = anstream::adapter::strip_str(&text(&status, &answer)).to_string();
    let expected = "\
mixed: 1 of 2 online CPUs are guests (3 possible)
rope: detaches by itself in 1m30s unless `mercury keep` comes before
cpu 1 is native: cpu came online and could not be attached (code 6): the machine is mixed

  cpu  state     entries  exits  by reason
    0  attached        3     15  hypercall 12, register-write 2, unknown-14 1
    1  native          3      0
    2  offline         3      0

devices not held off Mercury's memory: because
memory  512 KiB lent: image 256 KiB, per-CPU 128 KiB, host tables 16 KiB,
        nested tables 40 KiB, shared 24 KiB, spare 48 KiB
map     4 levels; leaves: 1023 of 1 GiB, 511 of 2 MiB, 512 of 4 KiB; 0 on demand
ledger  128 pages, 3 maps, 2 notifiers, 1 hot-plug states
so far  5 attaches, 4 detaches, 1 refused
";
    assert_eq!(text, expected);
}

#[test]
fn a_reason_without_a_record_is_still_a_sentence() {
    let (status, _) = mixed();
    let why = why(&status.cpus[1], &[]).unwrap();
    assert!(why.message.contains("(code ?)"), "{}", why.message);
}
