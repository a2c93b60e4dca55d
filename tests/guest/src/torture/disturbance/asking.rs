// SPDX-License-Identifier: MIT OR Apache-2.0
//! Somebody asks for status, log, samples and requirements all the time.

use super::{Act, Disturbance, Place, Prepared, ready};
use anyhow::{Result, bail};
use fastrand::Rng;
use mercury_device::{Device, Error};

struct Asking;

fn ask(draw: &mut Rng) -> Result<(), Error> {
    let device = Device::open()?;
    match draw.u8(..4) {
        0 => device.status().map(|_| ()),
        1 => device.log(0).map(|_| ()),
        2 => device.samples(0).map(|_| ()),
        _ => device.check().map(|_| ()),
    }
}

impl Disturbance for Asking {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        match ask(draw) {
            Ok(()) => Ok(Act::Done),
            // The module is away just now.
            Err(Error::NotLoaded { .. } | Error::NoNode { .. } | Error::Open { .. }) => {
                Ok(Act::Refused)
            }
            Err(error) => bail!(error),
        }
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    ready(Asking)
}
