//! Figures for Prometheus, read when they are asked for.
//!
//! Never a label for each cluster: at a hundred thousand of them that would be the load.

use std::fmt::Write;
use std::sync::{Arc, Weak};

use apiserver::{RequestCount, RequestCounts};

use crate::behaviour;
use crate::datapath::Datapath;
use crate::journal::Journal;
use crate::manage::Figures;
use crate::registry::Registry;
use crate::serve::Server;
use crate::serve::stats::{Cut, HandshakeFailure, Refusal};

/// Writes all figures in Prometheus' text form.
pub type Renderer = Arc<dyn Fn() -> String + Send + Sync>;

/// A renderer that keeps none of the parts alive.
pub(super) fn renderer(
    registry: &Arc<Registry>,
    server: &Arc<Server>,
    datapath: Option<&Arc<Datapath>>,
    journal: Option<&Arc<Journal>>,
    reconciler: Option<&Arc<Figures>>,
) -> Renderer {
    let registry = Arc::downgrade(registry);
    let server = Arc::downgrade(server);
    let datapath = datapath.map(Arc::downgrade);
    let journal = journal.map(Arc::downgrade);
    let reconciler = reconciler.cloned();
    Arc::new(move || {
        let mut out = String::new();
        if let Some(registry) = registry.upgrade() {
            clusters(&mut out, &registry);
            behaviour::counts::metrics(&mut out, &registry.behaviour_entries());
            requests(&mut out, registry.request_counts());
        }
        if let Some(server) = server.upgrade() {
            connections(&mut out, &server);
        }
        if let Some(datapath) = datapath.as_ref().and_then(Weak::upgrade) {
            packets(&mut out, &datapath);
        }
        if let Some(journal) = journal.as_ref().and_then(Weak::upgrade) {
            records(&mut out, &journal);
        }
        if let Some(reconciler) = &reconciler {
            reconciler.render(&mut out);
        }
        out
    })
}

/// Writes the head of one figure.
fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn one(out: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    head(out, name, kind, help);
    let _ = writeln!(out, "{name} {value}");
}

fn clusters(out: &mut String, registry: &Registry) {
    one(out, "fakeapi_clusters", "gauge", "Registered clusters.", registry.len());
    head(out, "fakeapi_pool_addresses", "gauge", "Addresses that a pool can give.");
    for usage in registry.ipam().usage() {
        let _ =
            writeln!(out, "fakeapi_pool_addresses{{pool=\"{}\"}} {}", usage.name, usage.capacity);
    }
    head(out, "fakeapi_pool_addresses_used", "gauge", "Addresses that clusters have.");
    for usage in registry.ipam().usage() {
        let _ =
            writeln!(out, "fakeapi_pool_addresses_used{{pool=\"{}\"}} {}", usage.name, usage.used);
    }
}

fn requests(out: &mut String, counts: &RequestCounts) {
    let name = "fakeapi_api_requests_total";
    head(out, name, "counter", "Requests to clusters' API servers, by what was asked.");
    for RequestCount { group, resource, verb, count } in counts.read() {
        let _ = writeln!(
            out,
            "{name}{{group=\"{group}\",resource=\"{resource}\",verb=\"{verb}\"}} {count}"
        );
    }
}

fn connections(out: &mut String, server: &Server) {
    let stats = server.stats();
    one(out, "fakeapi_connections_open", "gauge", "Open connections.", stats.open);
    let name = "fakeapi_connections_accepted_total";
    one(out, name, "counter", "Connections taken from the kernel.", stats.accepted);
    let name = "fakeapi_connections_handed_over_total";
    one(out, name, "counter", "Connections that another worker owned.", stats.handed_over);
    one(out, "fakeapi_requests_total", "counter", "Requests begun.", stats.requests);
    let name = "fakeapi_connections_refused_total";
    head(out, name, "counter", "Connections that were reset, by reason.");
    for why in Refusal::ALL {
        let _ = writeln!(out, "{name}{{reason=\"{}\"}} {}", why.label(), stats.refused(*why));
    }
    let name = "fakeapi_handshakes_failed_total";
    head(out, name, "counter", "TLS handshakes that failed, by reason.");
    for why in HandshakeFailure::ALL {
        let _ =
            writeln!(out, "{name}{{reason=\"{}\"}} {}", why.label(), stats.handshake_failed(*why));
    }
    let name = "fakeapi_connections_cut_total";
    head(out, name, "counter", "Connections that were cut, by reason.");
    for why in Cut::ALL {
        let _ = writeln!(out, "{name}{{reason=\"{}\"}} {}", why.label(), stats.cut(*why));
    }
}

fn packets(out: &mut String, datapath: &Datapath) {
    match datapath.reasons() {
        Ok(reasons) => {
            head(out, "fakeapi_edge_packets_total", "counter", "Packets at the edges, by verdict.");
            for (reason, count) in reasons {
                let _ = writeln!(
                    out,
                    "fakeapi_edge_packets_total{{reason=\"{}\"}} {count}",
                    reason.name()
                );
            }
        }
        Err(error) => tracing::warn!(%error, "the kernel's counters cannot be read"),
    }
}

fn records(out: &mut String, journal: &Journal) {
    let stats = journal.stats();
    let name = "fakeapi_journal_records_total";
    one(out, name, "counter", "Records written since the start.", stats.records);
    let name = "fakeapi_journal_bytes_total";
    one(out, name, "counter", "Bytes written since the start.", stats.bytes);
    let name = "fakeapi_journal_log_bytes";
    one(out, name, "gauge", "Bytes in logs that no snapshot covers.", stats.log_bytes);
    let name = "fakeapi_journal_snapshot_bytes";
    one(out, name, "gauge", "Bytes in snapshots.", stats.snapshot_bytes);
    let name = "fakeapi_journal_compactions_total";
    one(out, name, "counter", "Shards that were compacted.", stats.compactions);
    let name = "fakeapi_journal_compaction_failures_total";
    one(out, name, "counter", "Compactions that failed.", stats.compaction_failures);
    let name = "fakeapi_journal_failed_shards";
    one(out, name, "gauge", "Shards that take no more writes.", stats.failed_shards);
}
