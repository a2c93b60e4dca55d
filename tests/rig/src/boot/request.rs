// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest may ask of the rig (docs/rig.md): things that only the
//! outside can do, and endings that would otherwise count as a guest that died.

use super::clock::Clock;
use super::monitor::Monitor;
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::str::FromStr;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Inject NMIs into every CPU, so many, this far apart.
    Nmi(u32, Duration),
    /// Wake the machine from sleep, not before this delay.
    Wakeup(Duration),
    /// Something plugged in, pulled out, or asked of QEMU, in its monitor's words.
    Monitor(String),
    /// The guest is about to end without a status; if it ends so, this is it.
    Expect(Ending, u8),
}

/// Ways for a guest to end that it can announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a reset.
    Reset,
    /// By switching off.
    Shutdown,
    /// By a panic of its kernel, which resets.
    Panic,
}

impl FromStr for Request {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |at: usize, otherwise: u32| match words.get(at) {
            Some(word) => word
                .parse::<u32>()
                .with_context(|| format!("'{word}' in the request '{text}' is no number")),
            None => Ok(otherwise),
        };
        let status = || {
            u8::try_from(number(1, 0)?)
                .with_context(|| format!("the status in '{text}' exceeds 255"))
        };
        Ok(match words.first().copied().unwrap_or_default() {
            "nmi" => Self::Nmi(
                number(1, 1)?,
                Duration::from_micros(number(2, 2000)?.into()),
            ),
            "wakeup" => Self::Wakeup(Duration::from_millis(number(1, 1000)?.into())),
            "monitor" => Self::Monitor(permitted(&words[1..])?),
            "expect-reset" => Self::Expect(Ending::Reset, status()?),
            "expect-shutdown" => Self::Expect(Ending::Shutdown, status()?),
            "expect-panic" => Self::Expect(Ending::Panic, status()?),
            other => bail!(
                "the guest asked for '{other}'; known are nmi, wakeup, monitor, expect-reset, expect-shutdown, expect-panic"
            ),
        })
    }
}

/// What of QEMU's monitor is open to a guest: hardware that comes and goes. The
/// whole of it could read and write files of this machine.
fn permitted(words: &[&str]) -> Result<String> {
    match words {
        ["device_add" | "device_del" | "object_del" | "info", _, ..] => {}
        ["object_add", kind, ..] if kind.starts_with("memory-backend-ram,") => {}
        _ => bail!(
            "the guest asked the monitor for '{}'; permitted are device_add, device_del, object_add memory-backend-ram, object_del, info",
            words.join(" ")
        ),
    }
    Ok(words.join(" "))
}

/// Carries requests out, one after the other, and answers each on the clean
/// channel: `done ...`, or `failed ...`.
pub(crate) fn serve(
    requests: &Receiver<Result<Request, String>>,
    mut monitor: Option<Monitor>,
    mut answers: Box<dyn Write + Send>,
    mut clock: Clock,
) {
    while let Ok(request) = requests.recv() {
        let answer = match (request, monitor.as_mut()) {
            (Err(reason), _) => format!("failed {reason}"),
            (Ok(Request::Expect(..)), _) => "done 1".to_owned(),
            (Ok(_), None) => "failed Bochs has no monitor".to_owned(),
            // Answered first: a guest that sleeps cannot hear the answer.
            (Ok(Request::Wakeup(delay)), Some(monitor)) => {
                let _ = answers.write_all(b"done 1\n");
                let _ = answers.flush();
                if let Err(error) = wake(monitor, delay) {
                    crate::terminal::complain(&format!("{error:#}"));
                }
                continue;
            }
            (Ok(Request::Nmi(count, gap)), Some(monitor)) => {
                match inject(monitor, &mut clock, count, gap) {
                    Ok(()) => format!("done {count}"),
                    Err(error) => format!("failed {error:#}"),
                }
            }
            // An answer is one line.
            (Ok(Request::Monitor(line)), Some(monitor)) => match monitor.human(&line) {
                Ok(said) => format!("done {}", said.replace(['\r', '\n'], "; ")),
                Err(error) => format!("failed {error:#}"),
            },
        };
        if answers.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
        let _ = answers.flush();
    }
}

/// A CPU remembers one NMI while it handles another and no more, so the gap
/// must be long enough for the guest: it is time that the guest was given.
fn inject(monitor: &mut Monitor, clock: &mut Clock, count: u32, gap: Duration) -> Result<()> {
    for _ in 0..count {
        monitor.execute("inject-nmi")?;
        let until = clock.read() + gap;
        loop {
            let now = clock.read();
            if now >= until {
                break;
            }
            thread::sleep(until - now);
        }
    }
    Ok(())
}

/// QEMU refuses until the machine is asleep, so it is asked again until then.
fn wake(monitor: &mut Monitor, delay: Duration) -> Result<()> {
    thread::sleep(delay);
    let give_up = Instant::now() + Duration::from_secs(120);
    loop {
        match monitor.execute("system_wakeup") {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > give_up => return Err(error.context("waking the guest")),
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_with_their_defaults() {
        let read = |text: &str| text.parse::<Request>().unwrap();
        assert_eq!(
            read("nmi 1000 500"),
            Request::Nmi(1000, Duration::from_micros(500))
        );
        assert_eq!(read("wakeup"), Request::Wakeup(Duration::from_secs(1)));
        assert_eq!(read("expect-reset 7"), Request::Expect(Ending::Reset, 7));
        assert_eq!(read("expect-panic"), Request::Expect(Ending::Panic, 0));
    }

    #[test]
    fn the_monitor_is_open_for_hardware_only() {
        let read = |text: &str| text.parse::<Request>();
        let plug = "device_add pc-dimm,id=d1,memdev=m1";
        assert_eq!(
            read(&format!("monitor {plug}")).unwrap(),
            Request::Monitor(plug.into())
        );
        assert!(read("monitor object_add memory-backend-ram,id=m1,size=512M").is_ok());
        for refused in [
            "monitor",
            "monitor info",
            "monitor quit",
            "monitor migrate exec:ls",
            "monitor object_add memory-backend-file,id=m1,mem-path=/x,size=1M",
        ] {
            assert!(read(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn unknown_ones_say_what_is_known() {
        let refused = "dance".parse::<Request>().unwrap_err();
        assert!(refused.to_string().contains("wakeup"));
        assert!("expect-reset 256".parse::<Request>().is_err());
    }
}
