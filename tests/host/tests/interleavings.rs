// SPDX-License-Identifier: MIT OR Apache-2.0
//! The core's lock-free parts, and the module's rendezvous, under a model checker:
//! every interleaving of a few CPUs, and every value that the orderings allow a load to find.
#![expect(unsafe_code, reason = "the model checker's cell gives a pointer")]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering;
use loom::thread;
use mercury_hal::error::Error;
use mercury_host_tests::interleaved::generation::Generation;
use mercury_host_tests::interleaved::guard::gather::Gather;
use mercury_host_tests::interleaved::guard::gather::Verdict;
use mercury_host_tests::interleaved::phase::Phase;
use mercury_host_tests::interleaved::phase::Progress;
use mercury_host_tests::interleaved::ring::Ring;
use mercury_host_tests::rendezvous::Rendezvous;

/// All interleavings with at most so many involuntary changes of CPU.
fn model(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(test);
}

fn ready() -> Arc<Progress> {
    let progress = Progress::new();
    progress.begin().unwrap();
    progress.ready().unwrap();
    Arc::new(progress)
}

/// The last CPU leaves while another comes up: if it got in before the seal
/// came off, the seal is still on.
#[test]
fn the_seal_stays_while_anybody_is_in() {
    model(4, || {
        let progress = ready();
        progress.entering().unwrap();
        progress.seal(1).unwrap();
        let coming = progress.clone();
        let up = thread::spawn(move || {
            coming.entering().unwrap();
            coming.phase()
        });
        let left = progress.left();
        let found = up.join().unwrap();
        assert_eq!(progress.inside(), 1);
        let sealed = progress.phase() == Phase::Sealed;
        assert_eq!(sealed, left == 1);
        assert!(!sealed || found == Phase::Sealed);
    });
}

/// A seal counts those who are in at that moment, not a moment before.
#[test]
fn the_seal_and_a_cpu_that_leaves() {
    model(4, || {
        let progress = ready();
        progress.entering().unwrap();
        progress.entering().unwrap();
        let leaving = progress.clone();
        let down = thread::spawn(move || leaving.left());
        let seal = progress.seal(2);
        assert_eq!(down.join().unwrap(), 1);
        let phase = match seal {
            Ok(()) => Phase::Sealed,
            Err(error) => {
                assert_eq!(error, Error::NotAllIn);
                Phase::Ready
            }
        };
        assert_eq!((progress.phase(), progress.inside()), (phase, 1));
    });
}

/// A preparation never begins under a CPU that goes in.
#[test]
fn either_a_preparation_or_an_entry() {
    model(4, || {
        let progress = ready();
        let entering = progress.clone();
        let entry = thread::spawn(move || entering.entering());
        let begun = progress.begin();
        match (begun, entry.join().unwrap()) {
            (Ok(()), Err(_)) => assert_eq!(progress.phase(), Phase::Preparing),
            (Err(_), Ok(())) => assert_eq!(progress.phase(), Phase::Ready),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn three_cpus_enter_and_leave() {
    model(2, || {
        let progress = ready();
        let cpu = |progress: &Arc<Progress>| {
            let progress = progress.clone();
            thread::spawn(move || {
                progress.entering().unwrap();
                assert!((1..=3).contains(&progress.inside()));
                progress.left();
            })
        };
        let others = [cpu(&progress), cpu(&progress)];
        progress.entering().unwrap();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(progress.inside(), 1);
        assert_eq!(progress.left(), 0);
        assert_eq!(progress.entries(), 3);
    });
}

/// A ring that is full already. (It must be: loom wants every atomic made
/// before there is a second thread.)
fn full<const KEPT: usize>() -> Arc<Ring<KEPT, 2>> {
    let ring = Ring::new();
    for _ in 0..KEPT {
        ring.write([0, 0]);
    }
    Arc::new(ring)
}

/// Reads all there is; no record may be a mixture of two.
fn check<const KEPT: usize>(ring: &Ring<KEPT, 2>) -> u64 {
    let mut next = 1;
    while let Some((sequence, words)) = ring.read(next) {
        assert!(sequence >= next);
        assert_eq!(words[0], words[1], "record {sequence} is torn");
        next = sequence + 1;
    }
    next
}

/// Two CPUs log while a third reads, in a ring that goes around at once.
#[test]
fn no_torn_record_is_read() {
    model(2, || {
        let ring = full::<1>();
        let writer = |name: u64| {
            let ring = ring.clone();
            thread::spawn(move || ring.write([name, name]))
        };
        let writers = [writer(1), writer(2)];
        check(&ring);
        for writer in writers {
            writer.join().unwrap();
        }
        check(&ring);
    });
}

/// One CPU is so slow that the other goes around the ring meanwhile.
#[test]
fn a_slow_writer_spoils_nothing() {
    model(2, || {
        let ring = full::<2>();
        let slow = {
            let ring = ring.clone();
            thread::spawn(move || ring.write([9, 9]))
        };
        for record in 1..=3 {
            ring.write([record, record]);
            check(&ring);
        }
        slow.join().unwrap();
        assert!(check(&ring) > 3);
    });
}

/// What is in the ring when nobody writes can all be read.
#[test]
fn nothing_is_lost_without_haste() {
    model(2, || {
        let ring = full::<4>();
        let other = {
            let ring = ring.clone();
            thread::spawn(move || ring.write([1, 1]))
        };
        ring.write([2, 2]);
        other.join().unwrap();
        assert_eq!(check(&ring), 7);
        for sequence in 3..=6 {
            assert_eq!(ring.read(sequence).map(|(found, _)| found), Some(sequence));
        }
    });
}

/// A CPU that flushes finds the change that made it flush; one that does not may
/// go on with what it has cached.
#[test]
fn whoever_flushes_finds_the_change() {
    model(4, || {
        let generation = Arc::new(Generation::new());
        // The first touch makes the model's atomic; nobody else is there yet.
        assert_eq!(generation.now(), 0);
        let entry = Arc::new(AtomicU64::new(1));
        let (changed, of) = (entry.clone(), generation.clone());
        let change = thread::spawn(move || {
            changed.store(2, Ordering::Relaxed);
            of.publish(1);
        });
        let mut seen = 0;
        if generation.is_stale(&mut seen) {
            assert_eq!((seen, entry.load(Ordering::Relaxed)), (1, 2));
            assert!(!generation.is_stale(&mut seen));
        }
        change.join().unwrap();
        // At the next exit at the latest.
        generation.is_stale(&mut seen);
        assert_eq!((seen, entry.load(Ordering::Relaxed)), (1, 2));
    });
}

/// A visit, and how often it was carried out.
struct Slot {
    rendezvous: Rendezvous,
    /// The model checker sees it if two touch it at the same time.
    visit: UnsafeCell<u32>,
}

impl Slot {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            rendezvous: Rendezvous::new(),
            visit: UnsafeCell::new(0),
        })
    }

    fn touch(&self, step: impl Fn(u32) -> u32) -> u32 {
        self.visit.with_mut(|visit| {
            // SAFETY: the model checker complains if anybody else is at it.
            let visit = unsafe { &mut *visit };
            *visit = step(*visit);
            *visit
        })
    }

    /// The CPU, when it comes.
    fn arrive(&self) {
        if self.rendezvous.begin() {
            self.touch(|visit| visit + 1);
            self.rendezvous.end();
        }
    }

    /// The visitor's wait: so many looks, then the deadline. Whether it came.
    fn wait(&self, looks: usize) -> bool {
        for _ in 0..looks {
            if self.rendezvous.is_done() {
                return true;
            }
        }
        if self.rendezvous.call_off() {
            return false;
        }
        while !self.rendezvous.is_done() {
            thread::yield_now();
        }
        true
    }
}

/// A CPU comes before or after the deadline: the visit is carried out once or
/// never, as the visitor is told, and nobody touches what is another's.
#[test]
fn a_visit_is_carried_out_or_called_off() {
    model(4, || {
        let slot = Slot::new();
        slot.touch(|_| 10);
        slot.rendezvous.send();
        let cpu = slot.clone();
        let arrival = thread::spawn(move || cpu.arrive());
        let came = slot.wait(1);
        if came {
            assert_eq!(slot.touch(|visit| visit), 11);
        }
        arrival.join().unwrap();
        assert_eq!(slot.touch(|visit| visit), 10 + u32::from(came));
        assert!(slot.rendezvous.is_free(), "the late CPU has been there");
    });
}

/// A visit that was called off, and the next one to the same CPU: only when the
/// late one has been there is there a next.
#[test]
fn a_late_cpu_and_the_next_visit() {
    model(3, || {
        let slot = Slot::new();
        slot.touch(|_| 10);
        slot.rendezvous.send();
        let cpu = slot.clone();
        let late = thread::spawn(move || cpu.arrive());
        slot.wait(0);
        if slot.rendezvous.is_free() {
            slot.touch(|_| 20);
            slot.rendezvous.send();
            let cpu = slot.clone();
            let next = thread::spawn(move || cpu.arrive());
            let came = slot.wait(0);
            next.join().unwrap();
            assert_eq!(slot.touch(|visit| visit), 20 + u32::from(came));
        }
        late.join().unwrap();
    });
}

/// A roll-back is called off while CPUs come out: each goes on or was too late, nobody is
/// counted any more, and the next call finds a clean table.
#[test]
fn a_roll_back_that_is_called_off_leaves_nobody_behind() {
    model(4, || {
        let gather = Arc::new(Gather::new());
        assert!(gather.call());
        let others = [gather.clone(), gather.clone()].map(|gather| {
            thread::spawn(move || {
                let parked = gather.park();
                // As often as it is asked before it is told to go on, nothing changes.
                parked && gather.verdict() == Verdict::Wait
            })
        });
        gather.cancel();
        for other in others {
            if other.join().unwrap() {
                assert_eq!(gather.verdict(), Verdict::GoOn);
            }
        }
        assert_eq!(gather.parked(), 0);
        assert!(gather.call());
    });
}

/// All that parked go off at once: the leader finds itself alone when all of them are gone.
#[test]
fn a_leader_is_alone_when_all_others_are_gone() {
    model(4, || {
        let gather = Arc::new(Gather::new());
        assert!(gather.call() && gather.park() && gather.park());
        gather.dismiss();
        let others = [gather.clone(), gather.clone()].map(|gather| {
            thread::spawn(move || {
                assert_eq!(gather.verdict(), Verdict::Gone);
                gather.gone();
            })
        });
        assert!(gather.parked() <= 2 && !gather.park());
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(gather.parked(), 0);
        gather.over();
        assert!(gather.call());
    });
}
