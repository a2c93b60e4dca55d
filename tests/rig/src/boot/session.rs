// SPDX-License-Identifier: MIT OR Apache-2.0
//! One boot, from QEMU's start to its end: passes the guest's output on, serves
//! its requests, and watches that it goes on.

use super::bochs;
use super::channel::{Channel, Message};
use super::clock::Clock;
use super::console;
use super::monitor::Monitor;
use super::player::Ready;
use super::request::{Request, serve};
use super::verdict::{Facts, Verdict};
use crate::terminal::complain;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What the threads tell the session.
#[derive(Debug)]
pub(crate) enum Event {
    /// The guest printed.
    Output(Vec<u8>),
    /// The guest's channel is closed.
    OutputEnded,
    /// QEMU says why it ends.
    Shutdown(String),
    /// The monitor is closed.
    MonitorEnded,
}

/// How long the guest may take, by the clock of [`Clock`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// Without a sign of life: neither output nor a line in the kernel's log.
    pub(crate) quiet: Duration,
    /// Altogether.
    pub(crate) budget: Duration,
}

/// How a boot went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// Host time.
    pub(crate) wall: Duration,
}

/// After this long without a sign of life the CPU time of Bochs is noted: what
/// it has used by then, a Bochs that hangs in its own lock does not add to.
const NO_LIFE: Duration = Duration::from_secs(10);

/// After the status the guest switches off; it gets this long to do so, for not
/// every machine can (QEMU's cannot after a sleep). That Mercury lets a machine
/// switch off is a suite's business.
const SWITCH_OFF: Duration = Duration::from_secs(10);

/// Kills QEMU whichever way the session ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots and watches until the end.
pub(crate) fn watch(
    ready: Ready,
    run: &Path,
    limits: Deadlines,
    show: &mut dyn Write,
) -> Result<Outcome> {
    let started = Instant::now();
    let Ready {
        mut command,
        channel: from_bochs,
    } = ready;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    if from_bochs.is_some() {
        let file = fs::File::create(run.join("bochs.out")).context("creating bochs.out")?;
        command.stderr(file.try_clone()?).stdout(file);
    }
    let child = command.spawn().with_context(|| {
        format!(
            "starting '{}'; 'make setup' installs QEMU",
            crate::command::shown(&command)
        )
    })?;
    let mut qemu = Running(child);
    let (sender, events) = channel();
    let (output, answers, monitor) = match &from_bochs {
        None => talk_to_qemu(&mut qemu.0, run, &sender)?,
        Some(channel) => talk_to_bochs(&mut qemu.0, channel)?,
    };
    thread::spawn(move || pass_output(output, &sender));
    let (ask, requests) = channel();
    let for_requests = Clock::new(qemu.0.id());
    thread::spawn(move || serve(&requests, monitor, answers, for_requests));
    let mut session = Session {
        run,
        limits,
        clock: Clock::new(qemu.0.id()),
        channel: Channel::new(),
        facts: Facts::default(),
        ask,
        last_sign: Duration::ZERO,
        log_size: 0,
        status_since: None,
        bochs: from_bochs.is_some(),
        process: qemu.0.id(),
        time_at_sign: None,
    };
    let cut_off = session.until_the_end(&mut qemu.0, &events, show)?;
    show.write_all(&session.channel.finish())?;
    show.flush()?;
    if session.bochs && cut_off == Some(Verdict::Stalled) && session.idle_at_the_end() {
        complain(
            "Bochs used no CPU meanwhile: this is its known deadlock in logging, not the guest; run it again",
        );
    }
    session.facts.panicked = console::panicked(&console::read(run));
    let verdict = match cut_off {
        Some(verdict) if session.facts.panicked && verdict == Verdict::Stalled => Verdict::Panicked,
        Some(verdict) => verdict,
        None => Verdict::of(&session.facts),
    };
    Ok(Outcome {
        verdict,
        wall: started.elapsed(),
    })
}

struct Session<'a> {
    run: &'a Path,
    limits: Deadlines,
    clock: Clock,
    channel: Channel,
    facts: Facts,
    ask: Sender<Result<Request, String>>,
    last_sign: Duration,
    log_size: u64,
    status_since: Option<Instant>,
    bochs: bool,
    process: u32,
    time_at_sign: Option<u64>,
}

/// The guest's output, its input, and a monitor if there is one.
type Talk = (Box<dyn Read + Send>, Box<dyn Write + Send>, Option<Monitor>);

fn talk_to_qemu(qemu: &mut Child, run: &Path, events: &Sender<Event>) -> Result<Talk> {
    let output = qemu.stdout.take().context("QEMU has no standard output")?;
    let answers = qemu.stdin.take().context("QEMU has no standard input")?;
    match Monitor::connect(run, events.clone()) {
        Ok(monitor) => Ok((Box::new(output), Box::new(answers), Some(monitor))),
        Err(error) => {
            // QEMU opens its monitor before it judges its other arguments.
            thread::sleep(Duration::from_millis(200));
            if let Some(status) = qemu.try_wait()? {
                bail!(
                    "QEMU ended with {status} before the guest started; its message stands above"
                );
            }
            Err(error)
        }
    }
}

/// Bochs connects when it makes its serial ports, before it starts the guest.
fn talk_to_bochs(bochs: &mut Child, channel: &TcpListener) -> Result<Talk> {
    channel.set_nonblocking(true)?;
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        match channel.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                let answers = stream.try_clone().context("cloning the clean channel")?;
                return Ok((Box::new(stream), Box::new(answers), None));
            }
            Err(_) if Instant::now() < give_up => thread::sleep(Duration::from_millis(20)),
            Err(error) => {
                return Err(error).context("waiting for Bochs to bring the clean channel");
            }
        }
        if let Some(status) = bochs.try_wait()? {
            bail!(
                "Bochs ended with {status} before the guest started; bochs.log and bochs.out in the run's folder say why"
            );
        }
    }
}

impl Session<'_> {
    /// Gives a verdict only if it had to cut the guest off.
    fn until_the_end(
        &mut self,
        qemu: &mut Child,
        events: &Receiver<Event>,
        show: &mut dyn Write,
    ) -> Result<Option<Verdict>> {
        loop {
            match events.recv_timeout(Duration::from_millis(200)) {
                Ok(event) => self.take(event, show)?,
                Err(RecvTimeoutError::Timeout) => {}
                // Both threads have ended, so QEMU has or is about to.
                Err(RecvTimeoutError::Disconnected) => {
                    let status = qemu.wait()?;
                    if self.bochs {
                        // It always ends with 1.
                        self.facts.shutdown = Some(bochs::why_ended(self.run));
                    } else if !status.success() {
                        self.facts.shutdown = Some(format!("QEMU itself failed: {status}"));
                    }
                    return Ok(None);
                }
            }
            if let Some(since) = self.status_since {
                if since.elapsed() > SWITCH_OFF {
                    return Ok(None);
                }
            } else if let Some(verdict) = self.overdue() {
                return Ok(Some(verdict));
            }
        }
    }

    fn take(&mut self, event: Event, show: &mut dyn Write) -> Result<()> {
        match event {
            Event::Output(bytes) => {
                self.last_sign = self.clock.read();
                let (shown, messages) = self.channel.feed(&bytes);
                show.write_all(&shown)?;
                show.flush()?;
                for message in messages {
                    self.obey(message);
                }
            }
            Event::Shutdown(reason) => self.facts.shutdown = Some(reason),
            Event::OutputEnded | Event::MonitorEnded => {}
        }
        Ok(())
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Status(status) => {
                self.facts.status = Some(status);
                self.status_since = Some(Instant::now());
            }
            Message::Request(text) => {
                let request = text
                    .parse::<Request>()
                    .map_err(|error| format!("{error:#}"));
                match &request {
                    Ok(Request::Expect(ending, status)) => {
                        self.facts.expected = Some((*ending, *status))
                    }
                    Ok(_) => {}
                    Err(error) => crate::terminal::complain(error),
                }
                let _ = self.ask.send(request);
            }
        }
    }

    /// Whether the program has not used any CPU since the last sign of life.
    fn idle_at_the_end(&self) -> bool {
        bochs::processor_time(self.process)
            .zip(self.time_at_sign)
            .is_some_and(|(now, then)| now == then)
    }

    fn overdue(&mut self) -> Option<Verdict> {
        let now = self.clock.read();
        let size = fs::metadata(self.run.join("console.log")).map_or(0, |log| log.len());
        if size != self.log_size {
            self.log_size = size;
            self.last_sign = now;
        }
        if now.saturating_sub(self.last_sign) <= NO_LIFE {
            self.time_at_sign = None;
        } else if self.bochs && self.time_at_sign.is_none() {
            self.time_at_sign = bochs::processor_time(self.process);
        }
        if now > self.limits.budget {
            Some(Verdict::OverBudget)
        } else if now.saturating_sub(self.last_sign) > self.limits.quiet {
            Some(Verdict::Stalled)
        } else {
            None
        }
    }
}

fn pass_output(mut output: Box<dyn Read + Send>, events: &Sender<Event>) {
    let mut buffer = [0; 4096];
    loop {
        match output.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                if events
                    .send(Event::Output(buffer[..count].to_vec()))
                    .is_err()
                {
                    break;
                }
            }
        }
    }
    let _ = events.send(Event::OutputEnded);
}
