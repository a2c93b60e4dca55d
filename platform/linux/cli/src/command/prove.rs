// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury prove`: an experiment on each CPU instead of an assertion.
//!
//! See `mercury_device::Proof` for the experiment. Native CPUs answer, too:
//! the same steps must show nothing there, or the experiment proves nothing.

use crate::arguments::{Expectation, Prove};
use crate::exit::Exit;
use crate::output::{BAD, GOOD, Output, STRONG, hexadecimal, paint};
use crate::refusal;
use crate::table::Table;
use mercury_device::{Device, Proof, ProofVerdict, State};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Answer {
    verdict: &'static str,
    cpus: Vec<Cpu>,
    exit: u8,
}

#[derive(Debug, Serialize)]
struct Cpu {
    cpu: u32,
    verdict: &'static str,
    answered: bool,
    plain: String,
    other: String,
    read_flipped: String,
    read_unmapped: String,
    faults_raised: u64,
}

/// Proves and shows.
pub(crate) fn run(options: &Prove, output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    let cpus = if options.cpu.is_empty() {
        let status = device.status()?;
        if status.state == State::Switching {
            return Err(refusal::busy().into());
        }
        status.online().map(|cpu| cpu.cpu).collect()
    } else {
        options.cpu.clone()
    };
    let proofs = cpus
        .into_iter()
        .map(|cpu| device.prove(cpu))
        .collect::<Result<Vec<_>, _>>()?;
    let (verdict, exit) = judge(&proofs, options.expect);
    let answer = answer(&proofs, verdict, exit);
    output.answer(&answer, || text(&proofs, &answer))?;
    Ok(exit)
}

/// What all CPUs together come to.
fn judge(proofs: &[Proof], expected: Option<Expectation>) -> (&'static str, Exit) {
    let all = |wanted| proofs.iter().all(|proof| proof.verdict() == wanted);
    if proofs.is_empty()
        || proofs
            .iter()
            .any(|one| one.verdict() == ProofVerdict::Contradiction)
    {
        return ("contradiction", Exit::Unproven);
    }
    let (verdict, found) = if all(ProofVerdict::Guest) {
        ("guest", Some(Expectation::Guest))
    } else if all(ProofVerdict::Native) {
        ("native", Some(Expectation::Native))
    } else {
        ("mixed", None)
    };
    let exit = match (expected, found) {
        (Some(expected), Some(found)) if expected != found => Exit::Unproven,
        (_, Some(_)) => Exit::Success,
        (_, None) => Exit::Mixed,
    };
    (verdict, exit)
}

const fn name(verdict: ProofVerdict) -> &'static str {
    match verdict {
        ProofVerdict::Guest => "guest",
        ProofVerdict::Native => "native",
        ProofVerdict::Contradiction => "contradiction",
    }
}

fn answer(proofs: &[Proof], verdict: &'static str, exit: Exit) -> Answer {
    let cpus = proofs
        .iter()
        .map(|proof| Cpu {
            cpu: proof.cpu,
            verdict: name(proof.verdict()),
            answered: proof.answered,
            plain: hexadecimal(proof.plain),
            other: hexadecimal(proof.other),
            read_flipped: hexadecimal(proof.read_flipped),
            read_unmapped: hexadecimal(proof.read_unmapped),
            faults_raised: proof.faults_raised,
        })
        .collect();
    Answer {
        verdict,
        cpus,
        exit: exit.code(),
    }
}

fn text(proofs: &[Proof], answer: &Answer) -> String {
    // The two contents are the same on every CPU and long; their names say more.
    let contents = |proof: &Proof, read: u64| match read {
        read if read == proof.plain => "own contents".to_owned(),
        read if read == proof.other => "other contents".to_owned(),
        read => hexadecimal(read),
    };
    let mut table = Table::new(&[
        "cpu",
        "answers",
        "page flipped",
        "page unmapped",
        "faults",
        "so it is",
    ]);
    for proof in proofs {
        table.row([
            proof.cpu.to_string(),
            if proof.answered { "yes" } else { "no" }.to_owned(),
            contents(proof, proof.read_flipped),
            contents(proof, proof.read_unmapped),
            proof.faults_raised.to_string(),
            name(proof.verdict()).to_owned(),
        ]);
    }
    let style = match answer.verdict {
        "guest" => GOOD,
        "native" => STRONG,
        _ => BAD,
    };
    let unexpected = if answer.exit == Exit::Unproven.code() && style != BAD {
        format!("{}: not what --expect asked for\n", paint(BAD, "failed"))
    } else {
        String::new()
    };
    format!(
        "{}all CPUs: {}\n{unexpected}",
        table.render(),
        paint(style, answer.verdict)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: Proof = Proof {
        cpu: 0,
        answered: true,
        plain: 0x11,
        other: 0x22,
        read_flipped: 0x22,
        read_unmapped: 0x11,
        faults_raised: 1,
    };
    const NATIVE: Proof = Proof {
        cpu: 1,
        answered: false,
        read_flipped: 0x11,
        faults_raised: 0,
        ..GUEST
    };

    #[test]
    fn judgement() {
        use Expectation::{Guest, Native};
        assert_eq!(judge(&[GUEST, GUEST], None), ("guest", Exit::Success));
        assert_eq!(judge(&[NATIVE], Some(Native)), ("native", Exit::Success));
        assert_eq!(judge(&[NATIVE], Some(Guest)), ("native", Exit::Unproven));
        assert_eq!(judge(&[GUEST], Some(Native)), ("guest", Exit::Unproven));
        assert_eq!(judge(&[GUEST, NATIVE], None), ("mixed", Exit::Mixed));
        assert_eq!(judge(&[GUEST, NATIVE], Some(Guest)), ("mixed", Exit::Mixed));
        let broken = Proof {
            faults_raised: 0,
            ..GUEST
        };
        assert_eq!(
            judge(&[GUEST, broken], None),
            ("contradiction", Exit::Unproven)
        );
        assert_eq!(judge(&[], None), ("contradiction", Exit::Unproven));
    }

    #[test]
    fn json_is_stable() {
        let answer = answer(&[GUEST], "guest", Exit::Success);
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(
            text,
            "{\"verdict\":\"guest\",\"cpus\":[{\"cpu\":0,\"verdict\":\"guest\",\
             \"answered\":true,\"plain\":\"0x11\",\"other\":\"0x22\",\
             \"read_flipped\":\"0x22\",\"read_unmapped\":\"0x11\",\"faults_raised\":1}],\
             \"exit\":0}"
        );
        crate::command::assert_documented(&serde_json::from_str(&text).unwrap());
    }

    #[test]
    fn people_see_a_table() {
        let proofs = [GUEST, NATIVE];
        let answer = answer(&proofs, "mixed", Exit::Mixed);
        let text = anstream::adapter::strip_str(&text(&proofs, &answer)).to_string();
        assert!(
            text.contains("    0  yes      other contents  own contents        1  guest\n"),
            "{text}"
        );
        assert!(text.ends_with("all CPUs: mixed\n"), "{text}");
    }
}
