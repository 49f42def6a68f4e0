//! SPDY against itself, against zlib, against noise.

mod fuzz;
mod peer;
mod session;
mod wire;
