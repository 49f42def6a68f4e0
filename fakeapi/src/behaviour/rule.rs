//! A rule as users write it: which clusters, and how they behave otherwise.
//!
//! The parts of a cluster are named as Cluster API's in-memory provider names them in its
//! machines' `behaviour`: `apiServer`, `etcd`, `node`, with `provisioning.startupDuration` and
//! `startupJitter`.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::amount::{Number, Span};
use super::latency::Latency;
use super::limits::{LIST, NAME_BYTES, PERIOD_MIN, SPAN_MAX, TEXT_BYTES};
use super::reason;
use super::requests::Requests;
use super::selector::{Selector, check_share};
use super::validate::{Fault, Faults, Path};
use crate::serve::outage::Outage;

/// A named rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Its name: lower-case letters, digits and `-`.
    #[serde(default)]
    pub name: String,
    /// Which clusters it is about; all when absent.
    #[serde(default)]
    pub selector: Selector,
    /// What chance follows from; 0 when absent.
    #[serde(default)]
    pub seed: u64,
    /// How long it holds from when it is applied; until it is deleted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_after: Option<Span>,
    /// How API servers behave.
    #[serde(default, skip_serializing_if = "is_default")]
    pub api_server: ApiServer,
    /// How etcd behaves.
    #[serde(default, skip_serializing_if = "is_default")]
    pub etcd: Etcd,
    /// How nodes behave.
    #[serde(default, skip_serializing_if = "is_default")]
    pub node: Node,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How API servers behave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApiServer {
    /// What is added before a request is looked at; of a watch, before it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Requests that are refused; the first that strikes does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ApiError>,
    /// It cannot be reached, or is out of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<OutageRule>,
    /// When its serving certificate ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

/// Requests that are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiError {
    /// Which; all when absent.
    #[serde(default)]
    pub requests: Requests,
    /// How many of one; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Number>,
    /// The HTTP code, 400 to 599.
    pub code: u16,
    /// The `Status`' reason; that which goes with the code when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `Retry-After` in whole seconds. Go's client repeats a request up to ten times when a 429
    /// or a 5xx has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
}

/// An API server that cannot be reached, or is out of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutageRule {
    /// How it looks.
    pub kind: Outage,
    /// How long it lasts from when the rule is applied; as long as the rule when absent.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

/// When a serving certificate ends: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Certificate {
    /// So long after the rule was applied; 0s for one that has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_after: Option<Span>,
    /// At this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// How etcd behaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Etcd {
    /// What is added before a call is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How many calls of one fail as unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<Number>,
    /// Its leader is lost now and then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_loss: Option<LeaderLoss>,
}

/// A leader that is lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaderLoss {
    /// The time between two losses; once, when the rule is applied, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Adds 0 to so many of one of that time, by chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Number>,
    /// How long there is no leader; another one is there at once when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub election_duration: Option<Span>,
}

/// How nodes behave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Node {
    /// How long a node takes from when it is added until it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning: Option<Provisioning>,
    /// Nodes that are well and unwell in turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flapping: Option<Flapping>,
}

/// How long something takes to start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provisioning {
    /// The least.
    pub startup_duration: Span,
    /// Adds 0 to so many of one of it, by chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_jitter: Option<Number>,
}

/// Nodes that are well and unwell in turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flapping {
    /// How many nodes of one; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Number>,
    /// How long a node is well.
    pub up_for: Span,
    /// How long it is not.
    pub down_for: Span,
    /// Adds 0 to so many of one of both, by chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Number>,
    /// How a node is that is not well; unreachable when absent.
    #[serde(default, rename = "as")]
    pub looks: Unwell,
}

/// How a node is that is not well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unwell {
    /// Its kubelet says that it is not ready.
    NotReady,
    /// Its kubelet says nothing.
    #[default]
    Unreachable,
}

impl Rule {
    /// Reads a rule of JSON and checks it.
    ///
    /// # Errors
    /// With every field that is wrong.
    pub fn read(value: Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        refuse_lists(&value, &Path::ROOT, &mut faults);
        if !faults.0.is_empty() {
            return Err(faults);
        }
        let rule: Self = serde_path_to_error::deserialize(value).map_err(|error| {
            let field = error.path().to_string();
            let field = if field == "." { String::new() } else { field };
            Faults(vec![Fault { field, message: error.into_inner().to_string() }])
        })?;
        rule.check()?;
        Ok(rule)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// With every field that is wrong.
    pub fn check(&self) -> Result<(), Faults> {
        let (root, mut faults) = (Path::ROOT, Faults::default());
        check_name(&self.name, &root.field("name"), &mut faults);
        self.selector.check(&root.field("selector"), &mut faults);
        check_span(self.expire_after, PERIOD_MIN, &root.field("expireAfter"), &mut faults);
        self.api_server.check(&root.field("apiServer"), &mut faults);
        self.etcd.check(&root.field("etcd"), &mut faults);
        self.node.check(&root.field("node"), &mut faults);
        if faults.0.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// The fields that are lists.
const LISTS: [&str; 8] = [
    "namespaces",
    "names",
    "errors",
    "verbs",
    "apiGroups",
    "resources",
    "resourceNames",
    "nonResourceURLs",
];

/// Refuses lists where objects are wanted: serde would take one for an object's values in order.
fn refuse_lists(value: &Value, at: &Path<'_>, faults: &mut Faults) {
    match value {
        Value::Array(_) => faults.add(at, "must not be a list"),
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = at.field(name);
                match value {
                    Value::Array(items) if LISTS.contains(&name.as_str()) => {
                        for (index, item) in items.iter().enumerate() {
                            refuse_lists(item, &at.item(index), faults);
                        }
                    }
                    value => refuse_lists(value, &at, faults),
                }
            }
        }
        _ => {}
    }
}

/// A name is a DNS label, as the path of an endpoint and a metric's label must carry it.
fn check_name(name: &str, at: &Path<'_>, faults: &mut Faults) {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte != b'-');
    let good = name.len() <= NAME_BYTES
        && name.bytes().all(letters)
        && ends(name.bytes().next())
        && ends(name.bytes().last());
    let message = "must be 1 to 63 lower-case letters, digits and \"-\", not at an end";
    faults.unless(good, at, message);
}

fn check_span(span: Option<Span>, least: Duration, at: &Path<'_>, faults: &mut Faults) {
    let Some(span) = span else { return };
    let message = format!("must be {} to {}", Span(least), Span(SPAN_MAX));
    faults.unless((least..=SPAN_MAX).contains(&span.0), at, message);
}

fn check_jitter(jitter: Option<Number>, at: &Path<'_>, faults: &mut Faults) {
    let good = jitter.is_none_or(|jitter| (0.0..=10.0).contains(&jitter.0));
    faults.unless(good, at, "must be 0 to 10");
}

impl ApiServer {
    fn check(&self, at: &Path<'_>, faults: &mut Faults) {
        if let Some(latency) = &self.latency {
            latency.check(&at.field("latency"), faults);
        }
        let errors = at.field("errors");
        faults.unless(self.errors.len() <= LIST, &errors, format!("has more than {LIST}"));
        for (index, error) in self.errors.iter().enumerate() {
            error.check(&errors.item(index), faults);
        }
        if let Some(outage) = &self.outage {
            check_span(outage.lasts, PERIOD_MIN, &at.field("outage").field("for"), faults);
        }
        if let Some(Certificate { expire_after, not_after }) = &self.certificate {
            let at = at.field("certificate");
            check_span(*expire_after, Duration::ZERO, &at.field("expireAfter"), faults);
            let one = expire_after.is_some() != not_after.is_some();
            faults.unless(one, &at, "needs either expireAfter or notAfter");
            // RFC 5280, 4.1.2.5: what a certificate can say.
            let sayable =
                not_after.is_none_or(|end| (0..253_402_300_800).contains(&end.as_second()));
            faults.unless(sayable, &at.field("notAfter"), "must be in the years 1970 to 9999");
        }
    }
}

impl ApiError {
    fn check(&self, at: &Path<'_>, faults: &mut Faults) {
        self.requests.check(&at.field("requests"), faults);
        check_share(self.rate, &at.field("rate"), faults);
        let code = StatusCode::from_u16(self.code).ok();
        let refuses = code.is_some_and(|code| code.is_client_error() || code.is_server_error());
        faults.unless(refuses, &at.field("code"), "must be 400 to 599");
        let known = self.reason.as_deref().is_none_or(|name| reason::named(name).is_some());
        faults.unless(known, &at.field("reason"), "is no reason of metav1.StatusReason");
        let fits = self.message.as_ref().is_none_or(|text| text.len() <= TEXT_BYTES);
        faults.unless(fits, &at.field("message"), format!("has more than {TEXT_BYTES} bytes"));
        let whole = |span: Span| span.0.subsec_nanos() == 0;
        let at = at.field("retryAfter");
        check_span(self.retry_after, Duration::ZERO, &at, faults);
        faults.unless(self.retry_after.is_none_or(whole), &at, "must be whole seconds");
    }
}

impl Etcd {
    fn check(&self, at: &Path<'_>, faults: &mut Faults) {
        if let Some(latency) = &self.latency {
            let at = at.field("latency");
            latency.check(&at, faults);
            let of_api = latency.requests.is_some();
            faults.unless(!of_api, &at.field("requests"), "goes with the API server only");
        }
        check_share(self.error_rate, &at.field("errorRate"), faults);
        if let Some(loss) = &self.leader_loss {
            let at = at.field("leaderLoss");
            let period = Duration::from_secs(1);
            check_span(loss.every, period, &at.field("every"), faults);
            check_jitter(loss.jitter, &at.field("jitter"), faults);
            check_span(
                loss.election_duration,
                Duration::ZERO,
                &at.field("electionDuration"),
                faults,
            );
            if let (Some(every), Some(election)) = (loss.every, loss.election_duration) {
                faults.unless(
                    election < every,
                    &at.field("electionDuration"),
                    "is not below every",
                );
            }
        }
    }
}

impl Node {
    fn check(&self, at: &Path<'_>, faults: &mut Faults) {
        if let Some(provisioning) = &self.provisioning {
            let at = at.field("provisioning");
            let duration = Some(provisioning.startup_duration);
            check_span(duration, Duration::ZERO, &at.field("startupDuration"), faults);
            check_jitter(provisioning.startup_jitter, &at.field("startupJitter"), faults);
        }
        if let Some(flapping) = &self.flapping {
            let at = at.field("flapping");
            check_share(flapping.share, &at.field("share"), faults);
            check_span(Some(flapping.up_for), PERIOD_MIN, &at.field("upFor"), faults);
            check_span(Some(flapping.down_for), PERIOD_MIN, &at.field("downFor"), faults);
            check_jitter(flapping.jitter, &at.field("jitter"), faults);
        }
    }
}
