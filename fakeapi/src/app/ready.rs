//! Telling whoever started the program that it serves, and where it is controlled.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::options::RunOptions;

/// Writes the ready file: JSON with `control`, the control endpoint's real `IP:PORT`, and `pid`.
///
/// It appears whole, so that a reader that sees it can read it. It goes when the program stops,
/// and at the latest when it starts again: see [`forget`].
pub(super) async fn tell(options: &RunOptions) -> Result<()> {
    let Some(path) = &options.ready_file else { return Ok(()) };
    let text = json!({"control": options.control_address, "pid": std::process::id()});
    write(path, &text.to_string())
        .await
        .with_context(|| format!("the ready file {} could not be written", path.display()))
}

/// Removes the ready file when what it says is true no more.
pub(super) async fn forget(options: &RunOptions) -> Result<()> {
    let Some(path) = &options.ready_file else { return Ok(()) };
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove the ready file {}", path.display()))
        }
        _ => Ok(()),
    }
}

async fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    tokio::fs::write(&beside, text).await?;
    tokio::fs::rename(&beside, path).await
}
