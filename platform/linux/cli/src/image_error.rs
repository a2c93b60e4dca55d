// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the image's error codes mean, for refusals that carry one.

use mercury_hal::error::Error;

/// The code in words.
pub(crate) fn describe(code: u64) -> String {
    Error::ALL
        .iter()
        .find(|&&error| error as u64 == code)
        .map_or_else(
            || format!("error {code}"),
            |&error| format!("{} (error {code})", words(error)),
        )
}

const fn words(error: Error) -> &'static str {
    match error {
        Error::UnknownRequest => "the image does not know the request",
        Error::BadParameters => "the parameters contradict themselves",
        Error::FramesExhausted => "too few frames were lent",
        Error::WrongPhase => "the steps came in the wrong order",
        Error::Unsupported => "the CPU lacks a feature",
        Error::ExtensionTaken => "somebody took the virtualization extension after it was probed",
        Error::EntryRefused => "the hardware refused the guest state",
        Error::NotAllIn => "not every CPU is in",
        Error::BadAddress => "an address was named that may not be",
        Error::Injected => "a failure planted by a test",
        Error::MapConflict => "the nested map holds a frame in an unexpected way",
        Error::Died => "the hypervisor died; its log says of what",
        Error::StoreTooSmall => "the store is too small, or there is none",
        Error::NoCheckpoint => "there is no checkpoint",
        Error::StoreDamaged => "what the store holds is not what was put in",
        Error::CrashLoop => {
            "the machine went back too often in too short a time (mercury guard on --crash-loop)"
        }
        Error::NotGathered => "other CPUs did not come in time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_codes() {
        assert!(describe(6).contains("after it was probed (error 6)"));
        assert_eq!(describe(4711), "error 4711");
    }
}
