// SPDX-License-Identifier: MIT OR Apache-2.0
//! NMIs that the test module sends to every CPU, each noted by whom it reaches
//! at the moment it does: as many must be received as were sent.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::probe::Probe;
use crate::torture::switches::Span;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;

struct Nmi {
    sent: u64,
    seen: u64,
}

/// `sent N seen N`, then a moment a line.
fn burst(probe: &Probe, count: u64) -> Result<(u64, u64, Vec<Span>)> {
    let said = probe.say(&format!("nmi burst {count}"))?;
    let mut lines = said.lines();
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let ["sent", sent, "seen", seen] = words[..] else {
        anyhow::bail!("the test module reports NMIs as '{said}'");
    };
    let moments = lines
        .map(|line| {
            let at = line
                .parse()
                .with_context(|| format!("'{line}' is no moment"))?;
            Ok(Span { begin: at, end: at })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((sent.parse()?, seen.parse()?, moments))
}

impl Disturbance for Nmi {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let (sent, seen, moments) = burst(&Probe, draw.u64(20..=100))?;
        self.sent += sent;
        self.seen += seen;
        ensure!(sent == seen, "{sent} NMIs were sent and {seen} received");
        Ok(Act::At(moments))
    }

    fn finish(&mut self) -> Result<Option<String>> {
        Probe.say("nmi off")?;
        Ok(Some(format!("{} sent, {} received", self.sent, self.seen)))
    }
}

pub(super) fn prepare(place: &Place) -> Prepared {
    let Some(probe) = &place.probe else {
        return cannot("the test module is not here");
    };
    if cfg!(not(target_arch = "x86_64")) {
        return cannot("this architecture has no NMI to send");
    }
    probe.say("nmi off")?;
    probe.say("nmi on")?;
    ready(Nmi { sent: 0, seen: 0 })
}
