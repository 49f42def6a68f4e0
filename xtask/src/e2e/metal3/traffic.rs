//! What the managers sent to the clusters, by their own figures.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;

use crate::e2e::http::Connection;
use crate::e2e::management::Management;

/// What client-go counts of its requests.
const FIGURE: &str = "rest_client_requests_total{";

/// The management cluster's address; fakeapi's clusters have others of loopback.
const MANAGEMENT: &str = "127.0.0.1:";

/// Requests to clusters by the manager that sent them, and by method.
#[derive(Debug, Default)]
pub(super) struct Traffic(BTreeMap<(&'static str, String), f64>);

impl Traffic {
    /// What these managers have sent since they began.
    ///
    /// # Errors
    /// When one does not tell its figures.
    pub(super) fn of(management: &Management, managers: &[&'static str]) -> Result<Self> {
        let mut traffic = Self::default();
        for name in managers {
            if let Some(address) = management.metrics(name) {
                let text = Connection::open(address)?.request("GET", "/metrics", "")?;
                traffic.add(name, &text);
            }
        }
        Ok(traffic)
    }

    fn add(&mut self, manager: &'static str, text: &str) {
        for line in text.lines() {
            let Some(figure) = line.strip_prefix(FIGURE) else { continue };
            let Some((labels, count)) = figure.rsplit_once("} ") else { continue };
            let label = |name: &str| {
                let value = labels.split_once(&format!("{name}=\""))?.1;
                Some(value.split_once('"')?.0)
            };
            let (Some(host), Some(method)) = (label("host"), label("method")) else { continue };
            // Whole numbers, which are written as floats once they are large.
            let Ok(count) = count.parse::<f64>() else { continue };
            if !host.starts_with(MANAGEMENT) {
                *self.0.entry((manager, method.to_owned())).or_default() += count;
            }
        }
    }

    /// As a table.
    pub(super) fn table(&self) -> String {
        let mut text = "| requests to clusters by | method | number |\n|---|---|---|\n".to_owned();
        for ((manager, method), count) in &self.0 {
            // A String takes whatever is written to it.
            let _ = writeln!(text, "| {manager} | {method} | {count:.0} |");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_to_clusters_are_summed_over_clusters_and_codes() {
        let text = "\
# TYPE rest_client_requests_total counter
rest_client_requests_total{code=\"200\",host=\"127.0.0.1:35579\",method=\"GET\"} 900
rest_client_requests_total{code=\"200\",host=\"127.130.0.1:6443\",method=\"GET\"} 7
rest_client_requests_total{code=\"404\",host=\"127.130.0.2:6443\",method=\"GET\"} 1.5e+03
rest_client_requests_total{code=\"200\",host=\"127.130.0.2:6443\",method=\"PATCH\"} 2
other{host=\"127.130.0.2:6443\",method=\"GET\"} 5
";
        let mut traffic = Traffic::default();
        traffic.add("core-manager", text);
        assert_eq!(
            traffic.table().lines().skip(2).collect::<Vec<_>>(),
            ["| core-manager | GET | 1507 |", "| core-manager | PATCH | 2 |"]
        );
    }
}
