//! The whole program from outside: the real binary as a child in a network namespace, a client
//! in another one, a cable between them. Needs root.
//!
//! `cargo test -p fakeapi-tests --test program`
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod child;
mod client;
mod control;
mod fault;
mod modes;
mod site;
mod ten_thousand;
mod without_kernel;

/// Leaves the test, loudly, where it cannot run.
macro_rules! need {
    ($what:ident, $name:literal) => {
        if let Some(why) = fakeapi_tests::skip::$what() {
            return fakeapi_tests::skip::tell($name, &why);
        }
    };
}
pub(crate) use need;
