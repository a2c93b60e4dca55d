// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames from one network device to the other, which the rig has joined, and
//! back; and a connection to oneself. Every byte is looked at.
//!
//! Frames are raw (packet(7)), of an EtherType for experiments: addresses of
//! this machine's own would be answered without a device.
#![expect(unsafe_code, reason = "packet sockets are not in the safe wrappers")]

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::torture::modprobe;
use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use std::fs::{self, File};
use std::io::{Error, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::Command;
use std::time::{Duration, Instant};

/// IEEE 802: local experimental.
const ETHER_TYPE: u16 = 0x88b5;
/// One that does not come may have been dropped; then it is sent again.
static AGAIN_AFTER: libc::timeval = libc::timeval {
    tv_sec: 0,
    tv_usec: 200_000,
};
const LOST_AFTER: Duration = Duration::from_secs(30);

struct Port {
    name: String,
    socket: File,
    address: [u8; 6],
}

struct Network {
    ports: [Port; 2],
    frames: u64,
    again: u64,
}

fn failed(what: &str) -> anyhow::Error {
    anyhow::anyhow!("{what}: {}", Error::last_os_error())
}

fn open(name: &str) -> Result<Port> {
    let read = |file: &str| fs::read_to_string(format!("/sys/class/net/{name}/{file}"));
    let index: i32 = read("ifindex")?.trim().parse()?;
    let mut address = [0; 6];
    for (byte, text) in address.iter_mut().zip(read("address")?.trim().split(':')) {
        *byte = u8::from_str_radix(text, 16)?;
    }
    let protocol = ETHER_TYPE.to_be();
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, protocol.into()) };
    if socket < 0 {
        return Err(failed("a packet socket"));
    }
    // SAFETY: it is open and nobody else's.
    let socket = unsafe { File::from_raw_fd(socket) };
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut at: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    at.sll_family = libc::AF_PACKET as u16;
    at.sll_protocol = protocol;
    at.sll_ifindex = index;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the structure is valid and of this length.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const at).cast(), length) };
    ensure!(bound == 0, failed("binding a packet socket"));
    let length = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: the option takes a timeval.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            (&raw const AGAIN_AFTER).cast(),
            length,
        )
    };
    ensure!(set == 0, failed("SO_RCVTIMEO"));
    let up = Command::new("ip")
        .args(["link", "set", name, "up"])
        .status()?;
    ensure!(up.success(), "'ip link set {name} up' ended with {up}");
    Ok(Port {
        name: name.to_owned(),
        socket,
        address,
    })
}

impl Network {
    /// One frame from a port to the other.
    fn send(&mut self, from: usize, draw: &mut Rng) -> Result<()> {
        let length = draw.usize(46..=1500);
        let mut frame = vec![0; 14 + length];
        draw.fill(&mut frame[14..]);
        frame[..6].copy_from_slice(&self.ports[1 - from].address);
        frame[6..12].copy_from_slice(&self.ports[from].address);
        frame[12..14].copy_from_slice(&ETHER_TYPE.to_be_bytes());
        let start = Instant::now();
        let mut found = [0; 2048];
        'sending: loop {
            ensure!(
                start.elapsed() < LOST_AFTER,
                "a frame from {} does not come to {}",
                self.ports[from].name,
                self.ports[1 - from].name
            );
            // ENETDOWN, ENOBUFS: no carrier yet, no memory; then again.
            if self.ports[from].socket.write_all(&frame).is_err() {
                std::thread::sleep(Duration::from_millis(10));
            }
            loop {
                match self.ports[1 - from].socket.read(&mut found) {
                    Ok(count) if found[..count] == frame => break 'sending,
                    // One that was sent again came after all, as it was: an
                    // older one's length and contents are other ones.
                    Ok(count) if count >= 14 && self.again > 0 => {}
                    Ok(count) => bail!(
                        "{} received {count} bytes that nobody sent",
                        self.ports[1 - from].name
                    ),
                    Err(_) => break,
                }
            }
            self.again += 1;
        }
        self.frames += 1;
        Ok(())
    }
}

/// A connection to oneself.
fn connect(draw: &mut Rng) -> Result<()> {
    let mut sent = vec![0; draw.usize(1..=16 << 10)];
    draw.fill(&mut sent);
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    let mut one = TcpStream::connect(listener.local_addr()?).context("connecting")?;
    let (mut other, _) = listener.accept()?;
    one.write_all(&sent)?;
    drop(one);
    let mut received = Vec::new();
    other.read_to_end(&mut received)?;
    ensure!(
        sent == received,
        "a connection to oneself changed what was sent"
    );
    Ok(())
}

impl Disturbance for Network {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        for from in [0, 1] {
            self.send(from, draw)?;
        }
        connect(draw)?;
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        Ok(Some(format!(
            "{} frames between {} and {}, sent {} times again",
            self.frames, self.ports[0].name, self.ports[1].name, self.again
        )))
    }
}

pub(super) fn prepare(place: &Place) -> Prepared {
    if place.repeatable {
        return cannot("waits for the host");
    }
    for module in ["virtio-pci", "virtio-net", "e1000e"] {
        // Which of them this machine needs, its devices show.
        let _ = modprobe(module);
    }
    let mut names: Vec<String> = fs::read_dir("/sys/class/net")?
        .flatten()
        .filter(|entry| entry.path().join("device").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let [one, other, ..] = &names[..] else {
        return cannot("not two network devices");
    };
    ready(Network {
        ports: [open(one)?, open(other)?],
        frames: 0,
        again: 0,
    })
}
