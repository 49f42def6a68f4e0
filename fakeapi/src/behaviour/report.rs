//! A rule and what it does, as lists show it; and the door by which rules come and go.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::book::BehaviourError;
use super::counts::EFFECTS;
use super::entry::Entry;
use super::rule::Rule;

/// A rule and what it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The rule as it was given.
    #[serde(flatten)]
    pub rule: Rule,
    /// What it does.
    pub status: ReportStatus,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportStatus {
    /// When it was applied.
    pub applied: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// For how many clusters it holds.
    pub clusters: usize,
    /// How often it did what, since the program started or the rule was applied.
    pub effects: BTreeMap<String, u64>,
}

impl Report {
    /// The report on a rule.
    pub fn of(entry: &Entry) -> Self {
        let done = EFFECTS.into_iter().filter_map(|(effect, label)| {
            let count = entry.counts.of(effect);
            (count > 0).then(|| (label.to_owned(), count))
        });
        let status = ReportStatus {
            applied: entry.applied,
            expires: entry.expires(),
            clusters: entry.counts.clusters(),
            effects: done.collect(),
        };
        Self { rule: entry.rule.clone(), status }
    }
}

/// The door by which rules come and go.
pub trait Behaviours: Send + Sync {
    /// Adds a rule or replaces the one of the same name; it holds from now on and is kept.
    fn put_behaviour(&self, rule: Rule) -> BoxFuture<'_, Result<Report, BehaviourError>>;

    /// Removes a rule; what it did is undone.
    fn remove_behaviour<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BehaviourError>>;

    /// One rule.
    fn behaviour(&self, name: &str) -> Option<Report>;

    /// All rules in order of their names.
    fn all_behaviours(&self) -> Vec<Report>;
}
