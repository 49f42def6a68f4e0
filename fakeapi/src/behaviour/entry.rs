//! A rule that was applied: what follows from it for every cluster, and what it has done.

use std::time::Duration;

use apiserver::rbac;
use apiserver::request::RequestInfo;
use apiserver::status::Status;
use http::{Method, StatusCode};
use jiff::Timestamp;

use super::chance::Seed;
use super::counts::Counts;
use super::reason;
use super::requests::grants;
use super::rule::{ApiError, Certificate, Rule};
use crate::serve::outage::Outage;

/// A rule that was applied.
#[derive(Debug)]
pub struct Entry {
    /// The rule.
    pub rule: Rule,
    /// When it was applied.
    pub applied: Timestamp,
    /// Whether another process applied it, which may have left its effects behind.
    pub inherited: bool,
    /// What it has done.
    pub counts: Counts,
    /// The seed of the rule.
    pub(super) seed: Seed,
    pub(super) errors: Box<[Refusing]>,
    /// Which requests are delayed; all when there is none.
    delayed: Option<rbac::Rule>,
}

/// Requests that are refused, ready to be compared with.
#[derive(Debug)]
pub(super) struct Refusing {
    requests: rbac::Rule,
    pub(super) rate: Option<f64>,
    pub(super) status: Status,
}

impl Refusing {
    fn new(error: &ApiError) -> Self {
        let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (reason, message) = reason::of(code);
        let reason = error.reason.as_deref().and_then(reason::named).unwrap_or(reason);
        let message = error.message.as_deref().unwrap_or(message);
        let seconds = |wait: super::Span| u32::try_from(wait.0.as_secs()).unwrap_or(u32::MAX);
        let status = Status::refusal(code, reason, message, error.retry_after.map(seconds));
        Self { requests: error.requests.rule(), rate: error.rate.map(|rate| rate.0), status }
    }

    pub(super) fn is_about(&self, method: &Method, info: &RequestInfo) -> bool {
        grants(&self.requests, method, info)
    }
}

impl Entry {
    /// A rule that is applied at this moment.
    pub fn new(rule: Rule, applied: Timestamp) -> Self {
        let latency = rule.api_server.latency.as_ref();
        let delayed = latency.and_then(|latency| latency.requests.as_ref());
        Self {
            delayed: delayed.map(super::Requests::rule),
            errors: rule.api_server.errors.iter().map(Refusing::new).collect(),
            seed: Seed::new(rule.seed).of(&rule.name),
            counts: Counts::default(),
            inherited: false,
            applied,
            rule,
        }
    }

    /// A rule that another process applied.
    pub(super) fn inherited(rule: Rule, applied: Timestamp) -> Self {
        Self { inherited: true, ..Self::new(rule, applied) }
    }

    pub(super) fn delays(&self, method: &Method, info: &RequestInfo) -> bool {
        self.delayed.as_ref().is_none_or(|requests| grants(requests, method, info))
    }

    /// When it ends by itself.
    pub fn expires(&self) -> Option<Timestamp> {
        self.rule.expire_after.and_then(|span| self.after(span.0))
    }

    /// The outage it makes at this moment.
    pub fn outage(&self, now: Timestamp) -> Option<Outage> {
        let outage = self.rule.api_server.outage.as_ref()?;
        self.outage_end().is_none_or(|end| now < end).then_some(outage.kind)
    }

    /// When its outage ends by itself.
    pub fn outage_end(&self) -> Option<Timestamp> {
        let outage = self.rule.api_server.outage.as_ref()?;
        outage.lasts.and_then(|span| self.after(span.0))
    }

    /// When serving certificates end.
    pub(super) fn certificate_end(&self) -> Option<Timestamp> {
        let Certificate { expire_after, not_after } = self.rule.api_server.certificate.as_ref()?;
        not_after.or_else(|| expire_after.and_then(|span| self.after(span.0)))
    }

    fn after(&self, wait: Duration) -> Option<Timestamp> {
        self.applied.checked_add(wait).ok()
    }
}
