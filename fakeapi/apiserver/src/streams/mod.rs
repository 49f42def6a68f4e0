//! What comes after `101 Switching Protocols`: connections that carry streams of bytes into pods.
//!
//! The transport stays outside: it puts an [`Upgrade`] into the extensions of a request whose
//! connection can be taken over, and runs what it is given then. A [`spdy`] session or a
//! [`websocket`] knows nothing of what its streams are for; `portforward` does.

pub(crate) mod portforward;
pub mod spdy;
mod upgrade;
pub mod websocket;

pub use upgrade::{Takeover, Upgrade};
