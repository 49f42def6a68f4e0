//! A network namespace for each test.

use nix::sched::{CloneFlags, unshare};

/// Runs a test on a thread in a network namespace of its own.
pub(crate) fn isolated(name: &'static str, test: impl FnOnce() + Send + 'static) {
    let outcome = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            test();
        })
        .expect("a thread")
        .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}
