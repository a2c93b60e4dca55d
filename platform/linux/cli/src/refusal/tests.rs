// SPDX-License-Identifier: MIT OR Apache-2.0
//! Refusals and errors, as text and as JSON.

use super::*;
use serde_json::json;

fn held() -> Verdict {
    let mut verdict = Verdict::in_words(Requirement::Free, Outcome::Fail, "EFER");
    verdict.cpu = Some(1);
    verdict.read = 0x1d01;
    verdict.mask = 0x1000;
    verdict.errno = libc::EBUSY;
    verdict
}

#[test]
fn a_refusal_in_json() {
    let (exit, _, report) = of_verdict(&held(), Some(libc::EBUSY), "attach", &Firmware::fixed());
    assert_eq!(exit.code(), 13);
    let mut value = serde_json::to_value(&report).unwrap();
    let advice = value["error"]["advice"].take();
    assert!(
        advice
            .as_str()
            .unwrap()
            .contains("kvm.enable_virt_at_load=0")
    );
    assert_eq!(
        value,
        json!({
            "error": {
                "requirement": "extension-free",
                "cpu": 1,
                "read": "0x1d01",
                "expected": "0x0",
                "mask": "0x1000",
                "detail": "EFER",
                "errno": "EBUSY",
                "message": "KVM or another hypervisor holds the extension on CPU 1 (read 0x1d01: EFER.SVME or CR4.VMXE set)",
                "advice": null,
            },
            "exit": 13,
        })
    );
    crate::command::assert_documented(&value);
}

#[test]
fn a_refusal_in_text() {
    let (_, text, _) = of_verdict(&held(), Some(libc::EBUSY), "attach", &Firmware::fixed());
    let text = anstream::adapter::strip_str(&text).to_string();
    assert!(text.starts_with("refused: KVM or another hypervisor holds the extension on CPU 1"));
    for line in [
        "\n  read      0x1d01: EFER\n",
        "\n  expected  0x0 in the bits 0x1000\n",
        "\n  changed   nothing\n",
        "\n  to do     Stop all",
        "\n  exit      13 (extension-free, EBUSY)",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn what_was_tried_was_undone() {
    let mercury_device::Error::Refused(refusal) = interrupted() else {
        panic!()
    };
    let (exit, text, _) = of_verdict(
        &refusal.verdict,
        Some(libc::EINTR),
        refusal.call,
        &Firmware::fixed(),
    );
    assert_eq!(exit.code(), 30);
    assert!(text.contains("everything was undone"), "{text}");
}

#[test]
fn missing_privilege_is_a_refusal_wherever_it_is_noticed() {
    let error = Error::Privilege {
        path: "/dev/mercury".into(),
        source: std::io::Error::from_raw_os_error(libc::EACCES),
    };
    let verdict = verdict_of(&error).unwrap();
    let (exit, _, report) = of_verdict(&verdict, error.errno(), "", &Firmware::fixed());
    assert_eq!(exit.code(), 16);
    assert_eq!(report.error.errno.as_deref(), Some("EACCES"));
}

#[test]
fn errors_that_are_no_refusals() {
    let error = Error::NotLoaded {
        path: "/dev/mercury".into(),
    };
    let (exit, text, report) = of_device_error(&error);
    assert_eq!(exit.code(), 3);
    assert!(text.contains("modprobe mercury"));
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["error"]["requirement"], json!(null));
    assert_eq!(value["exit"], json!(3));
    let (exit, text, _) = of_device_error(&Error::Protocol { module: Some(2) });
    assert_eq!(exit.code(), 4);
    assert!(
        text.contains("speaks version 1") && text.contains("version 2"),
        "{text}"
    );
    assert_eq!(of_failure("no").0.code(), 1);
}

#[test]
fn a_detach_that_stopped_half_way_says_so() {
    let verdict = Verdict::in_words(Requirement::Arrival, Outcome::Fail, "");
    let (exit, text, _) = of_verdict(&verdict, None, "detach", &Firmware::fixed());
    assert_eq!(exit.code(), 29);
    assert!(text.contains("some CPUs may be native already"), "{text}");
}

#[test]
fn a_kernel_that_demands_signatures_is_known() {
    let path = std::env::temp_dir().join(format!("mercury-sig-{}", std::process::id()));
    for (text, demanded) in [("Y\n", true), ("N\n", false)] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(signatures_demanded(path.to_str().unwrap()), demanded);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(!signatures_demanded("/absent"));
}
