//! What controllers could not do at first: the answers of the program that they choke on show here.

use anyhow::{Context, Result};

use super::programs::{BOOTSTRAP, CONTROL_PLANE, CORE};
use crate::e2e::http::Connection;
use crate::e2e::management::Management;

/// Controller-runtime's figure, by controller.
const FIGURE: &str = r#"controller_runtime_reconcile_errors_total{controller=""#;

/// Prints how often each controller failed to reconcile an object and tried again.
///
/// # Errors
/// When a manager does not tell.
pub(super) fn tell(management: &Management) -> Result<()> {
    println!("     reconciliations that failed and were tried again, by controller:");
    for name in [CORE, BOOTSTRAP, CONTROL_PLANE] {
        let address = management.metrics(name).with_context(|| format!("{name} does not run"))?;
        let text = Connection::open(address)?.request("GET", "/metrics", "")?;
        for line in text.lines().filter_map(|line| line.strip_prefix(FIGURE)) {
            let (controller, count) = line.split_once("\"} ").context("an unknown figure")?;
            if count != "0" {
                println!("     {count:>8} {name}: {controller}");
            }
        }
    }
    Ok(())
}
