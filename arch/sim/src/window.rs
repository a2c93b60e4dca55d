// SPDX-License-Identifier: MIT OR Apache-2.0
//! The core's way to lent frames, by number.

use std::sync::Arc;

use mercury_hal::frames::FrameAccess;

use crate::memory::Memory;

/// A window onto the frames of a [`Memory`]; lets nothing else be touched.
#[derive(Clone, Debug)]
pub struct Window(pub Arc<Memory>);

impl FrameAccess for Window {
    fn read(&self, frame: u64, index: usize) -> u64 {
        self.0.entry(self.0.usable(frame), index)
    }

    fn write(&mut self, frame: u64, index: usize, value: u64) {
        self.0.store(self.0.usable(frame), index, value);
    }
}
