// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device without a module: errors, and rings that misbehave.

use super::*;

#[test]
fn a_missing_device_is_told_apart_from_a_missing_node() {
    let absent = Path::new("/dev/no-such-device");
    let error = Device::open_at(absent, Path::new("/sys/no-such-module")).unwrap_err();
    assert!(matches!(error, Error::NotLoaded { .. }), "{error}");
    let error = Device::open_at(absent, Path::new("/proc/self")).unwrap_err();
    assert!(matches!(error, Error::NoNode { .. }), "{error}");
    let error = Device::open_at(Path::new("/proc"), Path::new("/proc/self")).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
}

/// Any file answers ENOTTY to our numbers: that is how a module with other
/// structures looks.
#[test]
fn an_unknown_call_is_another_protocol() {
    let device = Device::open_at(Path::new("/dev/null"), Path::new("/proc")).unwrap();
    let error = device.attach(&AttachOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Protocol { module: None }), "{error}");
    assert!(matches!(
        device.status().unwrap_err(),
        Error::Protocol { .. }
    ));
}

#[test]
fn a_written_refusal_outranks_the_error_number() {
    let device = Device {
        file: File::open("/dev/null").unwrap(),
    };
    let mut raw = abi::Verdict::ZERO;
    let lockdown = || io::Error::from_raw_os_error(libc::EPERM);
    assert!(matches!(
        device.explain("attach", lockdown(), Some(&raw)),
        Error::Privilege { .. }
    ));
    raw.requirement = 7;
    assert!(matches!(
        device.explain("attach", lockdown(), Some(&raw)),
        Error::Refused(_)
    ));
}

#[test]
fn a_busy_module_is_a_refusal_wherever_it_is_noticed() {
    let device = Device {
        file: File::open("/dev/null").unwrap(),
    };
    let error = device.explain("prove", io::Error::from_raw_os_error(libc::EBUSY), None);
    assert_eq!(error.requirement(), Some(Requirement::Idle));
}

#[test]
fn a_ring_is_read_to_its_end_and_not_for_ever() {
    let device = Device {
        file: File::open("/dev/null").unwrap(),
    };
    // Full batches, then a short one.
    let batch: Batch<Sample> = device
        .ring(1, |from, room: &mut [abi::Sample]| {
            let count = if from < 512 { room.len() as u32 } else { 3 };
            for (index, entry) in room.iter_mut().enumerate() {
                entry.sequence = from + index as u64;
            }
            Ok((count, from + u64::from(count)))
        })
        .unwrap();
    assert_eq!(batch.items.len(), 515);
    assert_eq!(batch.next, 516);
    // A module that stands still and claims to have filled everything.
    let batch: Batch<Sample> = device
        .ring(7, |from, _: &mut [abi::Sample]| Ok((u32::MAX, from)))
        .unwrap();
    assert_eq!(batch.items.len(), RING_ROOM);
}

#[test]
fn ropes_are_rounded_up() {
    assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
    assert_eq!(whole_seconds(Duration::from_secs(30)), 30);
    assert_eq!(whole_seconds(Duration::MAX), u32::MAX);
}
