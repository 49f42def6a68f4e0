//! SPDY against itself, against zlib, against noise.

mod fuzz;
mod peer;
mod session;
mod wire;

pub(in crate::streams) use peer::Peer;
