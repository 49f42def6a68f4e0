//! What a client wants of a deletion: `meta/v1` `DeleteOptions`, from the body or the query.

use serde::Deserialize;
use serde_json::Value;

use super::garbage::{self, FOREGROUND, ORPHAN};
use super::options::check_dry_run;
use super::strategy::meta;
use crate::catalog::Resource;
use crate::codec;
use crate::server::Asked;
use crate::status::{Cause, Status};
use crate::storage::Key;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeleteOptions {
    /// In seconds; only pods have any.
    #[serde(rename = "gracePeriodSeconds")]
    pub(super) grace: Option<i64>,
    preconditions: Option<Preconditions>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    dry_run: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

/// What happens to an object's dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Background,
    Foreground,
    Orphan,
}

impl Policy {
    /// Gives an object the finalizer that goes with the policy, and takes the other one away.
    pub(super) fn set_finalizer(self, value: &mut Value) {
        for (finalizer, of) in [(ORPHAN, Self::Orphan), (FOREGROUND, Self::Foreground)] {
            if self == of {
                garbage::add_finalizer(value, finalizer);
            } else {
                garbage::remove_finalizer(value, finalizer);
            }
        }
    }
}

impl DeleteOptions {
    /// Reads the body, or the query when there is no body.
    ///
    /// # Errors
    /// 400 and 422 as the real server.
    pub(super) fn read(asked: &Asked<'_>) -> Result<Self, Status> {
        let options = if asked.body.is_empty() {
            Self::of_query(asked)?
        } else {
            let decoded = codec::decode(&asked.headers, &asked.body, "DeleteOptions")?;
            check_kind(&decoded.value)?;
            Self::of(decoded.value)?
        };
        options.validate()?;
        Ok(options)
    }

    fn of_query(asked: &Asked<'_>) -> Result<Self, Status> {
        let query = &asked.query;
        let grace = query.get("gracePeriodSeconds").map(|grace| {
            grace.parse().map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {grace:?}: invalid syntax"))
            })
        });
        let orphan = query.all("orphanDependents").next();
        Ok(Self {
            grace: grace.transpose()?,
            preconditions: None,
            propagation_policy: query.get("propagationPolicy").map(str::to_owned),
            orphan_dependents: orphan.map(|_| query.flag("orphanDependents")),
            dry_run: query.all("dryRun").map(str::to_owned).collect(),
        })
    }

    /// Reads the options out of an object, such as the `deleteOptions` of an eviction.
    ///
    /// # Errors
    /// 400 when it is not of that form.
    pub(super) fn of(value: Value) -> Result<Self, Status> {
        serde_json::from_value(without_nulls(value))
            .map_err(|error| Status::bad_request(format!("invalid DeleteOptions: {error}")))
    }

    fn validate(&self) -> Result<(), Status> {
        const FIELD: &str = "propagationPolicy";
        let mut causes = Vec::new();
        if let Some(policy) = &self.propagation_policy {
            let value = Value::from(policy.as_str());
            if self.orphan_dependents.is_some() {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                causes.push(Cause::invalid(FIELD, &value, why));
            }
            if !matches!(policy.as_str(), "Background" | "Foreground" | "Orphan") {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                causes.push(Cause::not_supported(FIELD, &value, &supported));
            }
        }
        if causes.is_empty() {
            return self.is_dry().map(drop);
        }
        Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &causes))
    }

    /// Whether the deletion is only to be tried.
    ///
    /// # Errors
    /// 422 for values that nobody knows.
    pub(super) fn is_dry(&self) -> Result<bool, Status> {
        let values: Vec<&str> = self.dry_run.iter().map(String::as_str).collect();
        check_dry_run(&values, "DeleteOptions")
    }

    /// What happens to the object's dependents.
    pub(super) fn policy(&self, resource: &Resource, value: &Value) -> Policy {
        match (self.orphan_dependents, self.propagation_policy.as_deref()) {
            (Some(true), _) | (_, Some("Orphan")) => return Policy::Orphan,
            (_, Some("Foreground")) => return Policy::Foreground,
            (Some(false), _) | (_, Some("Background")) => return Policy::Background,
            _ => {}
        }
        let has = |finalizer: &str| {
            value["metadata"]["finalizers"]
                .as_array()
                .is_some_and(|list| list.iter().any(|f| f == finalizer))
        };
        // Two old kinds leave their pods behind when nothing else is said.
        let leaves = matches!(
            (&*resource.group, &*resource.plural),
            ("", "replicationcontrollers") | ("batch", "jobs")
        );
        match (has(ORPHAN), has(FOREGROUND)) {
            (true, _) => Policy::Orphan,
            (_, true) => Policy::Foreground,
            _ if leaves => Policy::Orphan,
            _ => Policy::Background,
        }
    }

    /// Whether the object is the one that is meant.
    ///
    /// # Errors
    /// 409 when it is not.
    pub(super) fn check(&self, asked: &Asked<'_>, key: &Key, value: &Value) -> Result<(), Status> {
        let Some(preconditions) = &self.preconditions else {
            return Ok(());
        };
        let differs = |what: &str, wanted: &Option<String>, field: &str, how: &str| {
            let (wanted, found) = (wanted.as_deref()?, meta(value, field));
            (wanted != found).then(|| {
                format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in \
                     record ({found}). The object might have been {how}"
                )
            })
        };
        let (uid, revision) = (&preconditions.uid, &preconditions.resource_version);
        let why = differs("UID", uid, "uid", "deleted and then recreated")
            .or_else(|| differs("ResourceVersion", revision, "resourceVersion", "modified"));
        // The real server names the kind where it names the resource elsewhere.
        let (group, kind) = (&asked.resource.group, &asked.resource.kind);
        why.map_or(Ok(()), |why| Err(Status::conflict(group, kind, &key.name, &why)))
    }
}

fn check_kind(value: &Value) -> Result<(), Status> {
    match value.get("kind").and_then(Value::as_str) {
        None | Some("" | "DeleteOptions") => Ok(()),
        Some(_) => Err(Status::bad_request("decoded object cannot be converted to DeleteOptions")),
    }
}

/// JSON null means "not set" in every Kubernetes type.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}
