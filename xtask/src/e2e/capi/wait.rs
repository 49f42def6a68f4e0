//! Waiting for what controllers bring about.

use std::time::{Duration, Instant};

use anyhow::Result;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(500);

/// Looks until there is no error any more.
///
/// # Errors
/// When `patience` is over: what was wrong at the last look.
pub(super) fn until<T>(patience: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + patience;
    loop {
        match look() {
            Err(error) if Instant::now() > end => {
                return Err(error.context(format!("after {} s", patience.as_secs())));
            }
            Err(_) => std::thread::sleep(PAUSE),
            Ok(found) => return Ok(found),
        }
    }
}
