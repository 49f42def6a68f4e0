//! The contract between the kernel side and the user side.
//!
//! A packet meets four questions here, in this order: which bytes are its headers ([`packet`]),
//! what the tables say about its destination ([`layout`]), what is to be done with it
//! ([`verdict`]), and what an answer made out of it looks like ([`reply`]). Nothing in this crate
//! knows eBPF: the kernel crate lends it packets and maps, the tests lend it slices, so every rule
//! is proven on the host.
#![no_std]
#![expect(
    clippy::inline_always,
    reason = "a kernel of 5.15 follows packet pointers only within one function"
)]

#[cfg(test)]
extern crate std;

pub mod checksum;
pub mod layout;
pub mod packet;
pub mod reply;
pub mod verdict;
