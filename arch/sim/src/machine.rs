// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine: CPUs that run at the same time, and the module's part in them.
//!
//! Every CPU is a thread with a letter box. [`Machine::send`] puts a command
//! in, [`Machine::receive`] waits for what came of it (and not for ever: a CPU
//! that panicked is gone), [`Machine::visit`] is both. Commands to several CPUs
//! that are sent before the first is received run concurrently.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use mercury_core::hypervisor::Cpu;
use mercury_hal::call::Answer;
use mercury_hal::call::BASE;
use mercury_hal::call::Request;
use mercury_hal::error::Error;
use mercury_hal::exit::Policy;

use crate::SimHypervisor;
use crate::cpu::EntryFailure;
use crate::cpu::Flaw;
use crate::cpu::Shared;
use crate::cpu::SimCpu;
use crate::guest::Act;
use crate::guest::Outcome;
use crate::setup::Setup;

/// How long a CPU may be away.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a CPU is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Become a guest, or fail like this.
    Enter(Shared, Option<EntryFailure>),
    /// Carry out a script.
    Run(Vec<Act>),
    /// Say how it is.
    Report,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of [`Command::Enter`].
    Entered(Result<(), Error>),
    /// Of [`Command::Run`].
    Ran(Vec<Outcome>),
    /// Of [`Command::Report`].
    Is {
        /// Whether the CPU is a guest.
        guest: bool,
        /// Registers that are not what the program believes.
        strangers: Vec<usize>,
    },
}

#[derive(Debug)]
struct Thread {
    commands: mpsc::Sender<Command>,
    replies: mpsc::Receiver<Reply>,
    handle: Option<JoinHandle<()>>,
}

/// A machine with its CPUs, and the hypervisor's image in its memory.
#[derive(Debug)]
pub struct Machine {
    hypervisor: Arc<SimHypervisor>,
    cpus: Vec<Thread>,
    shared: Option<Shared>,
}

fn live(index: u32, flaw: Flaw, commands: &mpsc::Receiver<Command>, replies: &mpsc::Sender<Reply>) {
    let mut cpu = SimCpu::new(index, flaw);
    while let Ok(command) = commands.recv() {
        let reply = match command {
            Command::Enter(shared, failure) => Reply::Entered(cpu.enter(&shared, failure)),
            Command::Run(script) => Reply::Ran(cpu.run(&script)),
            Command::Report => Reply::Is {
                guest: cpu.is_guest(),
                strangers: cpu.strangers(),
            },
        };
        if replies.send(reply).is_err() {
            return;
        }
    }
}

impl Machine {
    /// A machine of so many CPUs, all native, nothing prepared.
    #[must_use]
    pub fn new(cpus: u32) -> Self {
        Self::with_flaw(cpus, Flaw::None)
    }

    /// The same, with a defect in each CPU.
    #[must_use]
    pub fn with_flaw(cpus: u32, flaw: Flaw) -> Self {
        let start = |index| {
            let (commands, inbox) = mpsc::channel();
            let (outbox, replies) = mpsc::channel();
            let handle = std::thread::spawn(move || live(index, flaw, &inbox, &outbox));
            Thread {
                commands,
                replies,
                handle: Some(handle),
            }
        };
        Self {
            hypervisor: Arc::new(SimHypervisor::new()),
            cpus: (0..cpus).map(start).collect(),
            shared: None,
        }
    }

    /// How many CPUs there are.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.cpus.len()
    }

    /// Prepares: memory lent anew, ranges mapped, the hole punched.
    ///
    /// # Errors
    /// What the core refuses.
    pub fn prepare(&mut self, setup: &Setup) -> Result<(), Error> {
        let memory = setup.prepare(&self.hypervisor)?;
        self.shared = Some(Shared {
            hypervisor: self.hypervisor.clone(),
            memory,
            shape: setup.shape,
        });
        Ok(())
    }

    /// Gives a CPU something to do.
    ///
    /// # Panics
    /// If that CPU panicked before.
    pub fn send(&self, cpu: usize, command: Command) {
        let sent = self.cpus[cpu].commands.send(command);
        assert!(sent.is_ok(), "CPU {cpu} is dead");
    }

    /// Waits for what came of it.
    ///
    /// # Panics
    /// If that CPU panicked, or does not answer.
    #[must_use]
    pub fn receive(&self, cpu: usize) -> Reply {
        let reply = self.cpus[cpu].replies.recv_timeout(DEADLINE);
        reply.unwrap_or_else(|error| panic!("CPU {cpu}: {error}"))
    }

    /// Both.
    #[must_use]
    pub fn visit(&self, cpu: usize, command: Command) -> Reply {
        self.send(cpu, command);
        self.receive(cpu)
    }

    /// Makes a CPU a guest, or lets that fail.
    ///
    /// # Errors
    /// What the image would return; nothing at all (`None`) from a CPU that
    /// does not come.
    pub fn enter(&self, cpu: usize, failure: Option<EntryFailure>) -> Result<(), Option<Error>> {
        if failure == Some(EntryFailure::Late) {
            return Err(None);
        }
        let shared = self.shared.clone().ok_or(Some(Error::WrongPhase))?;
        match self.visit(cpu, Command::Enter(shared, failure)) {
            Reply::Entered(result) => result.map_err(Some),
            other => panic!("{other:?} is no answer"),
        }
    }

    /// Carries out a script on a CPU.
    #[must_use]
    pub fn run(&self, cpu: usize, script: &[Act]) -> Vec<Outcome> {
        match self.visit(cpu, Command::Run(script.to_vec())) {
            Reply::Ran(outcomes) => outcomes,
            other => panic!("{other:?} is no answer"),
        }
    }

    /// A hypercall of the module on a CPU: words, or what the core said, or
    /// nothing if the CPU is native.
    ///
    /// # Errors
    /// See above.
    pub fn call(&self, cpu: usize, number: u64, argument: u64) -> Result<[u64; 8], Option<u64>> {
        match self.run(cpu, &[Act::Call(BASE | number, argument)])[..] {
            [Outcome::Answered(BASE, words)] => Ok(words),
            [Outcome::Answered(status, _)] => Err(Some(status ^ BASE)),
            _ => Err(None),
        }
    }

    /// Whether a CPU is a guest.
    ///
    /// # Panics
    /// If its program finds a register changed.
    #[must_use]
    pub fn is_guest(&self, cpu: usize) -> bool {
        match self.visit(cpu, Command::Report) {
            Reply::Is { guest, strangers } => {
                assert_eq!(strangers, [], "registers of CPU {cpu} have changed");
                guest
            }
            other => panic!("{other:?} is no answer"),
        }
    }

    /// Which CPUs are guests. Looks at every register on the way.
    #[must_use]
    pub fn guests(&self) -> Vec<usize> {
        (0..self.cpus()).filter(|cpu| self.is_guest(*cpu)).collect()
    }

    /// What the core believes: phase and how many are in.
    #[must_use]
    pub fn belief(&self) -> (u64, u64) {
        let mut nobody = Cpu::new(u32::MAX);
        match self.hypervisor.hypercall(&mut nobody, Request::Status) {
            Answer::Words([_, phase, inside, ..]) => (phase, inside),
            other => panic!("{other:?} is no status"),
        }
    }

    /// The core itself.
    #[must_use]
    pub fn hypervisor(&self) -> &SimHypervisor {
        &self.hypervisor
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for mut cpu in self.cpus.drain(..) {
            drop(cpu.commands);
            if let Some(handle) = cpu.handle.take() {
                // A CPU that panicked has said so.
                let _ = handle.join();
            }
        }
    }
}
