//! A part of 127.0.0.0/8 and a port that no other test of this machine uses meanwhile.
//!
//! Without the kernel side a run listens on all addresses, and shares its port with every other
//! process of the user that asks for the same: two runs would take each other's connections.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// How many slots there are.
const SLOTS: u8 = 240;

/// The first slot's port; below the ports that the kernel gives to outgoing connections.
const FIRST_PORT: u16 = 12_000;

/// A slot, held until dropped, also against other processes.
#[derive(Debug)]
pub struct Slot {
    number: u8,
    lock: File,
}

impl Slot {
    /// Takes a free slot.
    ///
    /// # Errors
    /// When none is free, or the lock files cannot be made.
    pub fn take() -> Result<Self> {
        let directory = std::env::temp_dir().join("fakeapi-test-slots");
        std::fs::create_dir_all(&directory)?;
        let start = u8::try_from(std::process::id() % u32::from(SLOTS))?;
        for step in 0..SLOTS {
            let number = u8::try_from((u16::from(start) + u16::from(step)) % u16::from(SLOTS))?;
            let path = directory.join(number.to_string());
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            let slot = Self { number, lock };
            if slot.lock.try_lock().is_ok() && slot.is_silent() {
                return Ok(slot);
            }
        }
        bail!("all {SLOTS} slots for tests are taken")
    }

    /// Whether nobody listens there, such as a program whose test was killed.
    fn is_silent(&self) -> bool {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port())).is_ok()
    }

    /// The port of all clusters.
    pub fn port(&self) -> u16 {
        FIRST_PORT + u16::from(self.number)
    }

    /// The pool, a /16.
    pub fn pool(&self) -> String {
        format!("127.{}.0.0/16", self.second_octet())
    }

    /// An address of the slot.
    pub fn ip(&self, third: u8, fourth: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second_octet(), third, fourth)
    }

    fn second_octet(&self) -> u8 {
        self.number + 10
    }
}
