//! The address plane against a real kernel, each test in a network namespace of its own.
//!
//! Needs root and nothing else: no `ip` binary, no network, so that the same file runs in an
//! initramfs. What cannot run here says so in a line that starts with `SKIP`.

mod namespace;
mod prefix;
mod secondary;
mod unprivileged;
