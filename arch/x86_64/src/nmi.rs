// SPDX-License-Identifier: MIT OR Apache-2.0
//! NMIs and machine checks that arrive in the image. Under SVM they are held off, but
//! for a moment when an intercepted NMI is taken ([`Progress`]).
//!
//! They are not ours. Each is counted on the CPU's landing pad ([`crate::pad`])
//! and handed on. Between the world switch's last look at that count and the
//! entry itself lie a dozen instructions; an NMI that arrives there goes on at
//! the look, so none is left behind.
//!
//! The CPU keeps NMIs shut until the handler's IRET (SDM volume 3, 6.7.1), and a
//! guest that is in its own NMI handler has them shut in here too. So only the
//! NMI's handler ends with an IRET; other exceptions of the image return without
//! (see [`crate::exception`]).
#![expect(unsafe_code, reason = "counts on the pad of this CPU")]

use core::sync::atomic::Ordering;

use mercury_hal::door::CPU_STRIDE;

use crate::exception::Frame;
use crate::pad::PAD_OFFSET;
use crate::pad::Pad;
use crate::vmx::run;

/// How far a guest is with an NMI that SVM intercepted (while there is a store): the
/// next one waits until its handler's IRET, as the CPU itself would have had it wait
/// (APM 8.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The guest is in its handler.
    pub handled: bool,
    /// Another one waits.
    pub waits: bool,
}

impl Progress {
    /// One arrived. Says whether the guest gets it now.
    pub const fn arrived(&mut self) -> bool {
        if self.handled {
            self.waits = true;
            return false;
        }
        self.handled = true;
        true
    }

    /// The handler is at its IRET. Says whether the guest gets the one that waited,
    /// before the IRET: Linux's handler knows that this can be.
    pub const fn returns(&mut self) -> bool {
        let next = self.waits;
        self.handled = next;
        self.waits = false;
        next
    }
}

/// Vector of the NMI.
pub const NMI: u64 = 2;
/// Vector of the machine check.
pub const MACHINE_CHECK: u64 = 18;

/// Takes an NMI or a machine check; says whether it was one.
pub fn arrived(frame: &mut Frame) -> bool {
    if frame.vector != NMI && frame.vector != MACHINE_CHECK {
        return false;
    }
    // The frame is on this CPU's stack, the stack in this CPU's area.
    let area = (&raw const *frame as u64) & !(CPU_STRIDE - 1);
    let pad = (area + PAD_OFFSET as u64) as *const Pad;
    // SAFETY: every CPU's pad is mapped for as long as the image is.
    let pad = unsafe { &*pad };
    let count = if frame.vector == NMI {
        &pad.nmis
    } else {
        &pad.machine_checks
    };
    count.fetch_add(1, Ordering::Relaxed);
    if let Some(look) = run::look_again(frame.rip) {
        frame.rip = look;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_nmi_waits_for_the_iret_and_more_are_one() {
        let mut progress = Progress::default();
        assert!(progress.arrived());
        assert!(!progress.arrived() && !progress.arrived());
        assert!(progress.returns(), "the one that waited");
        assert!(!progress.returns());
        assert_eq!(progress, Progress::default());
        assert!(progress.arrived());
    }
}
