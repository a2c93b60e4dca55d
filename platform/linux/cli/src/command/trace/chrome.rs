// SPDX-License-Identifier: MIT OR Apache-2.0
//! The form that Perfetto and chrome://tracing open: the Trace Event Format, JSON
//! Object Format. Spans are complete events (`X`), marks are instants (`i`) of their
//! thread, lanes are threads of one process, named and ordered by metadata (`M`).
//! Times are microseconds.

use super::timeline::{Lane, Timeline};
use serde_json::{Value, json};

const PROCESS: u32 = 1;

/// The whole document.
pub(super) fn document(timeline: &Timeline) -> Value {
    let mut events = vec![meta("process_name", 0, json!({ "name": timeline.title }))];
    for lane in &timeline.lanes {
        let name = match lane {
            Lane::Machine => "machine".to_owned(),
            Lane::Cpu(cpu) => format!("CPU {cpu}"),
        };
        let thread = thread(*lane);
        events.push(meta("thread_name", thread, json!({ "name": name })));
        events.push(meta(
            "thread_sort_index",
            thread,
            json!({ "sort_index": thread }),
        ));
    }
    for span in &timeline.spans {
        events.push(json!({
            "name": span.name,
            "cat": if span.inner { "phase" } else { "step" },
            "ph": "X",
            "pid": PROCESS,
            "tid": thread(span.lane),
            "ts": span.begin,
            "dur": span.end - span.begin,
        }));
    }
    for instant in &timeline.instants {
        events.push(json!({
            "name": instant.name,
            "cat": if instant.grave { "warning" } else { "event" },
            "ph": "i",
            "s": "t",
            "pid": PROCESS,
            "tid": thread(instant.lane),
            "ts": instant.at,
            "args": { "message": instant.message },
        }));
    }
    json!({
        "displayTimeUnit": "ns",
        "otherData": { "lost": timeline.lost.to_string() },
        "traceEvents": events,
    })
}

/// The machine's lane stands above the CPUs'. No thread has number 0: readers take it
/// for an idle one.
fn thread(lane: Lane) -> u32 {
    match lane {
        Lane::Machine => 1,
        Lane::Cpu(cpu) => cpu.saturating_add(2),
    }
}

fn meta(name: &str, thread: u32, arguments: Value) -> Value {
    json!({ "name": name, "ph": "M", "pid": PROCESS, "tid": thread, "args": arguments })
}
