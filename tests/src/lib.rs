//! The harness of the outside tests: the real program as a child process, and clients that speak
//! to it over the wire as other people's programs do.
//!
//! Nothing here uses the program's own code, so that a mistake on both sides of a connection
//! cannot cancel out.
#![expect(clippy::missing_panics_doc, reason = "a harness fails its test by panicking")]

pub mod access;
pub mod binary;
pub mod control;
pub mod namespace;
pub mod openssl;
pub mod ping;
pub mod program;
pub mod session;
pub mod skip;
pub mod slot;
pub mod watch;

pub use access::Access;
pub use control::Control;
pub use program::{Program, Setup};
pub use session::{Answer, Session};
pub use watch::Watch;
