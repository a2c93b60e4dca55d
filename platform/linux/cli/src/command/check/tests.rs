// SPDX-License-Identifier: MIT OR Apache-2.0
//! `check` from made-up verdicts.

use super::*;
use serde_json::json;

fn verdict(requirement: Requirement, outcome: Outcome, cpu: Option<u32>, read: u64) -> Verdict {
    let mut verdict = Verdict::in_words(requirement, outcome, "EFER");
    verdict.cpu = cpu;
    verdict.read = read;
    verdict.mask = 0x1000;
    if outcome == Outcome::Fail {
        verdict.errno = libc::EBUSY;
    }
    verdict
}

fn findings(verdicts: Vec<Verdict>) -> Findings {
    let info = Info {
        abi: 1,
        testing: false,
        architecture: "x86_64".to_owned(),
        backend: "svm".to_owned(),
        image_name: "mercury/mercury-x86_64.img".to_owned(),
        image_sha256: [0xab; 32],
        version: "0.1.0".to_owned(),
        tsc_khz: 1_000_000,
    };
    Findings {
        device: "open",
        info: Some(info),
        firmware: Firmware::fixed(),
        platform: None,
        verdicts,
    }
}

fn held() -> Findings {
    findings(vec![
        verdict(Requirement::Free, Outcome::Pass, Some(0), 0xd01),
        verdict(Requirement::Free, Outcome::Fail, Some(1), 0x1d01),
        verdict(Requirement::Free, Outcome::Pass, Some(2), 0xd00),
    ])
}

#[test]
fn exit_codes() {
    let pass = || verdict(Requirement::Free, Outcome::Pass, Some(0), 0);
    let unknown = || verdict(Requirement::Memory, Outcome::Undecided, None, 0);
    assert_eq!(judge(&findings(vec![pass()])), Exit::Success);
    assert_eq!(judge(&findings(vec![pass(), unknown()])), Exit::Undecided);
    assert_eq!(judge(&held()), Exit::Refused(Requirement::Free));
    // Without a module nothing can be said to hold altogether.
    let without = Findings {
        info: None,
        device: "not-loaded",
        ..findings(vec![pass()])
    };
    assert_eq!(judge(&without), Exit::NoDevice);
    let without = Findings {
        info: None,
        device: "not-loaded",
        ..held()
    };
    assert_eq!(judge(&without), Exit::Refused(Requirement::Free));
    // An outcome of the future is not a pass.
    let future = verdict(Requirement::Free, Outcome::Unknown(9), None, 0);
    assert_eq!(judge(&findings(vec![future])), Exit::Undecided);
}

#[test]
fn json_is_stable() {
    let value = serde_json::to_value(answer(&held(), judge(&held()))).unwrap();
    let pass = |cpu: u32, read: &str| {
        json!({
            "requirement": "extension-free", "outcome": "pass", "cpu": cpu, "read": read,
            "expected": "0x0", "mask": "0x1000", "detail": "EFER", "errno": null,
            "message": "nobody else uses the extension", "advice": null,
        })
    };
    let mut fail = pass(1, "0x1d01");
    fail["outcome"] = json!("fail");
    fail["errno"] = json!("EBUSY");
    fail["message"] = json!(
        "KVM or another hypervisor holds the extension on CPU 1 (read 0x1d01: EFER.SVME or CR4.VMXE set)"
    );
    fail["advice"] = json!(advice::of(Requirement::Free).to_do);
    assert_eq!(
        value,
        json!({
            "device": "open",
            "module": {
                "version": "0.1.0", "abi": 1, "architecture": "x86_64", "backend": "svm",
                "image_name": "mercury/mercury-x86_64.img", "image_sha256": "ab".repeat(32),
                "testing": false,
            },
            "platform": null,
            "verdicts": [pass(0, "0xd01"), fail, pass(2, "0xd00")],
            "passed": 2, "failed": 1, "unknown": 0, "exit": 13,
        })
    );
    crate::command::assert_documented(&value);
}

#[test]
fn people_see_like_cpus_on_one_line_and_the_way_out() {
    let text = anstream::adapter::strip_str(&text::render(&held())).to_string();
    let expected = "\
pass  extension-free     cpus 0,2  0xd01: EFER
FAIL  extension-free     cpu 1     0x1d01: EFER
        expected  0x0 in the bits 0x1000
        that is   KVM or another hypervisor holds the extension on CPU 1 (read
                  0x1d01: EFER.SVME or CR4.VMXE set)
        to do     Stop all virtual machines and unload kvm_amd or kvm_intel
                  (modprobe -r), or boot with kvm.enable_virt_at_load=0, so that
                  KVM takes it only while a machine runs.
2 passed, 1 failed, 0 unknown
";
    assert!(text.ends_with(expected), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 86),
        "{text}"
    );
}

#[test]
fn a_missing_image_names_the_places() {
    let mut missing = Verdict::in_words(Requirement::ImageFound, Outcome::Fail, "");
    missing.errno = libc::ENOENT;
    let text = text::render(&findings(vec![missing]));
    for place in [
        "/lib/firmware/updates/6.1.0-18-amd64/",
        "/lib/firmware/mercury/mercury-x86_64.img",
    ] {
        assert!(text.contains(place), "{text}");
    }
}
