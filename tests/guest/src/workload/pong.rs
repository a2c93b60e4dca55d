// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two threads that wake each other through a futex, in strict turns: a wake-up
//! that is lost stops both, and the deadline says so.

use super::Stop;
use anyhow::{Result, anyhow, ensure};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Table {
    ball: Mutex<u64>,
    turned: Condvar,
}

/// Plays the turns of one side (even or odd) until the ball has passed `end`.
fn play(table: &Table, side: u64, end: impl Fn(u64) -> bool) -> Result<u64> {
    let mut ball = table
        .ball
        .lock()
        .map_err(|_| anyhow!("the other player panicked"))?;
    let mut played = 0;
    loop {
        let (held, waited) = table
            .turned
            .wait_timeout_while(ball, PATIENCE, |ball| {
                *ball % 2 != side && *ball != u64::MAX
            })
            .map_err(|_| anyhow!("the other player panicked"))?;
        ball = held;
        ensure!(
            !waited.timed_out(),
            "no wake-up within {PATIENCE:?} after {played} turns"
        );
        if *ball == u64::MAX {
            return Ok(played);
        }
        if end(*ball) {
            *ball = u64::MAX;
            table.turned.notify_one();
            return Ok(played);
        }
        *ball += 1;
        played += 1;
        table.turned.notify_one();
    }
}

pub(super) fn run(stop: Stop) -> Result<String> {
    let table = Arc::new(Table::default());
    let other = {
        let table = Arc::clone(&table);
        thread::spawn(move || play(&table, 1, |_| false))
    };
    // Asking for the end costs a call, so not at each turn.
    let mine = play(&table, 0, |ball| {
        ball >= 512 && ball % 256 == 0 && stop.requested()
    })?;
    let theirs = other
        .join()
        .map_err(|_| anyhow!("the other player panicked"))??;
    ensure!(
        mine == theirs,
        "one side played {mine} turns, the other {theirs}"
    );
    Ok(format!("{mine} turns on each side, no wake-up lost"))
}
