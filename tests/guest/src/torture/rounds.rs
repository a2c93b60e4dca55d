// SPDX-License-Identifier: MIT OR Apache-2.0
//! One round: those who were dealt to it act, each in a thread of its own,
//! again and again, while the traveller makes round trips (or, natively, rests).
//! It ends when the trips are made and everybody has acted once; then it is
//! counted whose acts met a switch.

use super::disturbance::{Act, Disturbance, Excuse, Kind, Place, out_of_memory};
use super::gaps::{Histograms, Watch};
use super::order::{Order, Round};
use super::switches::{Span, in_the_middle};
use super::trips::{Tally, Traveller};
use crate::ticks;
use anyhow::{Context, Result, anyhow};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Natively, instead of a round trip.
const REST: Duration = Duration::from_millis(20);

/// A disturbance that is ready.
pub(super) struct Player {
    pub(super) kind: &'static Kind,
    pub(super) disturbance: Mutex<Box<dyn Disturbance>>,
}

impl Player {
    fn locked(&self) -> Result<std::sync::MutexGuard<'_, Box<dyn Disturbance>>> {
        self.disturbance
            .lock()
            .map_err(|_| anyhow!("{} panicked", self.kind.name))
    }

    pub(super) fn finish(&self) -> Result<Option<String>> {
        self.locked()?
            .finish()
            .with_context(|| format!("at the end of {}", self.kind.name))
    }
}

/// How often a disturbance acted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Acts {
    pub(super) done: u64,
    pub(super) refused: u64,
    /// Of those done, in the middle of a switch.
    pub(super) in_the_middle: u64,
}

/// What became of rounds.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) rounds: u64,
    pub(super) acts: BTreeMap<&'static str, Acts>,
    pub(super) tally: Tally,
    pub(super) switches: u64,
    pub(super) gaps: Histograms,
}

impl Played {
    pub(super) fn trips(&self) -> u64 {
        self.tally.trips
    }

    pub(super) fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.switches += other.switches;
        for (name, acts) in other.acts {
            let sum = self.acts.entry(name).or_default();
            sum.done += acts.done;
            sum.refused += acts.refused;
            sum.in_the_middle += acts.in_the_middle;
        }
        for (cpu, seen) in &other.gaps {
            self.gaps.entry(*cpu).or_default().add(seen);
        }
        self.tally.add(other.tally);
    }
}

/// A round that is over, as it is printed.
pub(super) struct Over<'a> {
    round: &'a Round,
    played: &'a Played,
}

impl fmt::Display for Over<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (round, tally) = (self.round, &self.played.tally);
        write!(to, "round {}: {} trips", round.number, tally.trips)?;
        if tally.tries > tally.trips {
            write!(to, " of {} ({})", tally.tries, tally.excused)?;
        }
        for (name, acts) in &self.played.acts {
            write!(to, "; {name} {}, {} amid", acts.done, acts.in_the_middle)?;
            if acts.refused > 0 {
                write!(to, ", {} refused", acts.refused)?;
            }
        }
        Ok(())
    }
}

/// Plays rounds.
pub(super) struct Rounds<'a> {
    place: &'a Place,
    players: &'a [Player],
    travels: bool,
}

/// What two threads of a round tell each other.
#[derive(Debug, Default)]
struct Signs {
    over: AtomicBool,
    acted: AtomicUsize,
    /// Somebody takes all memory.
    short_of_memory: bool,
}

struct Acted {
    acts: Acts,
    spans: Vec<Span>,
}

fn act_until_over(player: &Player, draw: &mut Rng, signs: &Signs) -> Result<Acted> {
    let mut disturbance = player.locked()?;
    let mut acted = Acted {
        acts: Acts::default(),
        spans: Vec::new(),
    };
    let mut first = true;
    while first || !signs.over.load(Ordering::Relaxed) {
        let begin = ticks::now();
        let outcome = disturbance.act(draw);
        let end = ticks::now();
        if first || outcome.is_err() {
            signs.acted.fetch_add(1, Ordering::Relaxed);
        }
        first = false;
        match outcome.with_context(|| format!("disturbance {}", player.kind.name)) {
            Ok(Act::Done) => {
                acted.acts.done += 1;
                acted.spans.push(Span { begin, end });
            }
            Ok(Act::Refused) => acted.acts.refused += 1,
            Ok(Act::At(moments)) => {
                acted.acts.done += moments.len() as u64;
                acted.spans.extend(moments);
            }
            Err(error) if signs.short_of_memory && out_of_memory(&error) => acted.acts.refused += 1,
            Err(error) => {
                signs.over.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
    }
    Ok(acted)
}

impl<'a> Rounds<'a> {
    pub(super) fn new(place: &'a Place, players: &'a [Player], travels: bool) -> Self {
        Self {
            place,
            players,
            travels,
        }
    }

    /// Those of a round who can take part in it.
    fn company(&self, round: &Round) -> Vec<&'a Player> {
        let players = round.who.iter().map(|&who| &self.players[who]);
        players
            .filter(|player| self.travels || player.kind.excuse != Some(Excuse::Meddles))
            .collect()
    }

    fn travel(&self, round: &Round, traveller: &mut Traveller, signs: &Signs) -> Result<()> {
        let (count, cpus) = (round.who.len(), &self.place.cpus);
        let mut at = round.first_cpu;
        while !signs.over.load(Ordering::Relaxed)
            && (traveller.made() < round.trips || signs.acted.load(Ordering::Relaxed) < count)
        {
            traveller.one(cpus[at % cpus.len()])?;
            at += 1;
        }
        Ok(())
    }

    fn rest(round: &Round, company: usize, signs: &Signs) {
        let mut rests = 0;
        while (rests < round.trips || signs.acted.load(Ordering::Relaxed) < company)
            && !signs.over.load(Ordering::Relaxed)
        {
            thread::sleep(REST);
            rests += 1;
        }
    }

    fn round(&self, order: &Order, round: &Round) -> Result<Played> {
        let company = self.company(round);
        let excuses: Vec<Excuse> = company
            .iter()
            .filter_map(|player| player.kind.excuse)
            .collect();
        let signs = Signs {
            short_of_memory: excuses.contains(&Excuse::TakesMemory),
            ..Signs::default()
        };
        // Before anybody can take the module away.
        let mut traveller = match self.travels {
            true => Some(Traveller::new(excuses)?),
            false => None,
        };
        let acted = thread::scope(|scope| -> Result<_> {
            let threads: Vec<_> = company
                .iter()
                .map(|player| {
                    let mut draw = order.draw(round.number, player.kind.name);
                    let signs = &signs;
                    (
                        player.kind.name,
                        scope.spawn(move || act_until_over(player, &mut draw, signs)),
                    )
                })
                .collect();
            let travelled = match &mut traveller {
                Some(traveller) => self.travel(round, traveller, &signs),
                None => {
                    Self::rest(round, company.len(), &signs);
                    Ok(())
                }
            };
            signs.over.store(true, Ordering::Relaxed);
            let mut acted = Vec::new();
            for (name, thread) in threads {
                let done = thread.join().map_err(|_| anyhow!("{name} panicked"))?;
                acted.push((name, done));
            }
            // A trip that failed says more than whoever was beside it.
            travelled?;
            acted
                .into_iter()
                .map(|(name, done)| Ok((name, done?)))
                .collect::<Result<Vec<_>>>()
        })?;
        let tally = match traveller {
            Some(traveller) => traveller.finish()?,
            None => Tally::default(),
        };
        let mut played = Played {
            rounds: 1,
            switches: tally.switches.len() as u64,
            ..Played::default()
        };
        for (name, acted) in acted {
            let mut acts = acted.acts;
            acts.in_the_middle = in_the_middle(&acted.spans, &tally.switches);
            played.acts.insert(name, acts);
        }
        played.tally = tally;
        Ok(played)
    }

    /// The rounds of a deck, `most` at most, with somebody who looks at every CPU. `after` each
    /// it is asked whether all is well.
    pub(super) fn deck(
        &self,
        order: &mut Order,
        most: u64,
        after: &mut dyn FnMut(&Over<'_>) -> Result<()>,
    ) -> Result<Played> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let watch = Watch::start(
                scope,
                &self.place.cpus,
                self.place.ticks_per_microsecond,
                &over,
            );
            let mut all = Played::default();
            let outcome = loop {
                let round = order.next();
                let played = match self.round(order, &round) {
                    Ok(played) => played,
                    Err(error) => break Err(error.context(self.named(&round))),
                };
                if let Err(error) = after(&Over {
                    round: &round,
                    played: &played,
                }) {
                    break Err(error.context(self.named(&round)));
                }
                all.add(played);
                if round.last_of_deck || all.rounds >= most {
                    break Ok(());
                }
            };
            over.store(true, Ordering::Relaxed);
            let gaps = watch.finish();
            outcome?;
            all.gaps = gaps?;
            Ok(all)
        })
    }

    fn named(&self, round: &Round) -> String {
        let mut text = format!("round {}, with", round.number);
        for player in self.company(round) {
            let _ = write!(text, " {}", player.kind.name);
        }
        text
    }
}
