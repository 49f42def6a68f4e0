//! What one part of the test has for itself: a program, a namespace, a provider.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use regex::Regex;
use serde_json::{Value, json};

use super::provider::Provider;
use super::report::Report;
use super::subject::Subject;
use crate::e2e::http::Connection;
use crate::e2e::management::{Api, Kubectl, Management};
use crate::e2e::program::Program;

/// How much the journal of a program without clusters may hold: each of its 16 shards is compacted
/// when its logs exceed 8 MiB.
const JOURNAL_MAX: u64 = 16 * 8 * 1024 * 1024;

/// A program that serves the clusters of one namespace.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) program: Program,
    pub(super) provider: Provider,
    pub(super) kubectl: Kubectl,
    api: Api,
    folder: PathBuf,
}

impl Stage {
    /// Starts the program `name` for the namespace `name`, with what it needs to find the
    /// clusters' authorities.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        management: &Management,
        folder: &Path,
    ) -> Result<Self> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let kubeconfig = management.kubeconfig_of("fakeapi", &[])?;
        let flags = [OsStr::new("--kubeconfig"), kubeconfig.as_os_str()];
        let program = Program::start_with(program, &folder, &flags)?;
        let namespace = json!({"metadata": {"name": name}});
        management.api().create("/api/v1/namespaces", &namespace)?;
        let provider = Provider::start(management.api(), program.control(), name);
        let kubectl = management.kubectl();
        Ok(Self { name, program, provider, kubectl, api: management.api(), folder })
    }

    /// A client of the management cluster.
    pub(super) fn api(&self) -> Api {
        self.api.again()
    }

    /// Fails while the program serves a cluster or keeps an address.
    ///
    /// # Errors
    /// With what is left.
    pub(super) fn empty(&self) -> Result<()> {
        let left = self.registered()?;
        ensure!(left.is_empty(), "registered: {left:?}");
        let used = self.figure("fakeapi_pool_addresses_used")?;
        ensure!(used == 0.0, "{used} addresses are used");
        let bytes = self.data_bytes()?;
        ensure!(bytes < JOURNAL_MAX, "the journal has {bytes} bytes");
        println!("     {}: {} KiB of journal", self.name, bytes / 1024);
        Ok(())
    }

    /// Tells what was asked of the program, and what helps after a failure; ends the program.
    pub(super) fn end(self, mut report: Report) -> Report {
        if !report.well() {
            println!("     {}: the provider's trouble: {:?}", self.name, self.provider.trouble());
            println!("the end of the program's log:\n{}", self.program.log_tail());
        }
        match self.requests() {
            Ok(table) => println!("{table}"),
            Err(error) => println!("     {}: no figures of requests: {error:#}", self.name),
        }
        drop(self.provider);
        report.step("the program ends in order", || self.program.stop());
        report
    }

    /// A cluster of its namespace.
    pub(super) fn subject(&self, name: &str) -> Subject {
        Subject::new(self.api.again(), self.name, name, &self.folder)
    }

    /// Clusters that the program serves.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn registered(&self) -> Result<Vec<Value>> {
        let mut control = Connection::open(self.program.control())?;
        let text = control.request("GET", "/register?limit=1000", "")?;
        let mut page: Value = serde_json::from_str(&text)?;
        match page["clusters"].take() {
            Value::Array(clusters) => Ok(clusters),
            other => bail!("the program lists {other}"),
        }
    }

    /// Lets a node, or the member of etcd on it, fare otherwise.
    ///
    /// # Errors
    /// When the program refuses.
    pub(super) fn set_health(
        &self,
        what: &str,
        cluster: &str,
        node: &str,
        health: &str,
    ) -> Result<()> {
        let path = format!("{what}?resource={}/{cluster}&nodeName={node}", self.name);
        let body = json!({"health": health}).to_string();
        Connection::open(self.program.control())?.request("PUT", &path, &body).map(drop)
    }

    /// One of the program's figures, summed over its labels.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn figure(&self, name: &str) -> Result<f64> {
        let text = Connection::open(self.program.control())?.request("GET", "/metrics", "")?;
        Ok(text
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// What was asked of the program's clusters since it was last started, the most first.
    fn requests(&self) -> Result<String> {
        let text = Connection::open(self.program.control())?.request("GET", "/metrics", "")?;
        let pattern = Regex::new(concat!(
            r#"(?m)^fakeapi_api_requests_total"#,
            r#"\{group="(.*)",resource="(.*)",verb="(.*)"\} (\d+)$"#,
        ))?;
        let mut rows: Vec<(u64, String)> = pattern
            .captures_iter(&text)
            .map(|found| {
                let (_, [group, resource, verb, count]) = found.extract();
                let dot = if group.is_empty() { "" } else { "." };
                Ok((count.parse()?, format!("{verb:<8} {resource}{dot}{group}")))
            })
            .collect::<Result<_>>()?;
        rows.sort_by(|a, b| b.cmp(a));
        let total: u64 = rows.iter().map(|(count, _)| count).sum();
        let head = format!("     {}: {total} requests to API servers", self.name);
        let rows = rows.into_iter().map(|(count, what)| format!("\n     {count:>8} {what}"));
        Ok(std::iter::once(head).chain(rows).collect())
    }

    /// How much is in the program's data folder, in bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn data_bytes(&self) -> Result<u64> {
        let entries = fs::read_dir(self.folder.join("data"))?;
        entries.map(|entry| Ok(entry?.metadata()?.len())).sum()
    }
}
