//! What FKAS could not tell: which clusters and nodes there are, how to reach them, and what the
//! kernel does to their packets.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;

use super::answer::Answer;
use super::control::Control;
use super::error::ControlError;
use super::go_json::{decode_as, encode};
use super::limits::{PAGE_DEFAULT, PAGE_MAX};
use super::query::Query;
use super::{name, with_causes};
use crate::register::{ClusterName, ClusterSummary, Fault, NodeHealth, NodeSpec, RegisterError};

/// `GET /register`: one cluster when the query names one, else a page of all.
pub(super) fn clusters(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    match name::of_query(query)? {
        Some(name) => {
            let found = control.registrar.cluster(&name);
            let summary =
                found.ok_or(ControlError::Other { source: RegisterError::UnknownCluster(name) })?;
            Ok(Answer::json(encode(&summary)))
        }
        None => page(control, query),
    }
}

#[derive(Serialize)]
struct Page {
    clusters: Vec<ClusterSummary>,
    #[serde(rename = "continue")]
    next: String,
}

fn page(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    let limit = limit(query)?;
    let after = query.text("continue").map(read_token).transpose()?;
    // One more than wanted tells whether there is more.
    let mut clusters = control.registrar.clusters(after.as_ref(), limit + 1);
    let more = clusters.len() > limit;
    clusters.truncate(limit);
    let next = match clusters.last() {
        Some(last) if more => write_token(last),
        _ => String::new(),
    };
    Ok(Answer::json(encode(&Page { clusters, next })))
}

fn limit(query: &Query) -> Result<usize, ControlError> {
    let Some(text) = query.text("limit") else {
        return Ok(PAGE_DEFAULT);
    };
    let limit: usize = text.parse().map_err(|_| ControlError::Value {
        field: "limit",
        problem: format!("{text:?} is not a number"),
    })?;
    Ok(if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MAX) })
}

/// A name may hold anything, also "/" in its namespace, so the token is a pair.
fn write_token(last: &ClusterSummary) -> String {
    URL_SAFE_NO_PAD.encode(encode(&(&last.namespace, &last.name)))
}

fn read_token(token: &str) -> Result<ClusterName, ControlError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let pair: Option<(String, String)> = bytes.and_then(|bytes| decode_as(&bytes).ok());
    let (namespace, name) = pair.ok_or_else(|| ControlError::Value {
        field: "continue",
        problem: format!("{token:?} is not a token of this server"),
    })?;
    Ok(ClusterName::new(namespace, name))
}

#[derive(Serialize)]
struct Nodes {
    nodes: Vec<Node>,
}

/// A node as it was registered, and how it fares.
#[derive(Serialize)]
struct Node {
    #[serde(flatten)]
    spec: NodeSpec,
    health: NodeHealth,
}

/// `GET /updateNode`: the nodes of a cluster.
pub(super) fn nodes(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    let name = name::required(query)?;
    let specs = other(control.registrar.nodes(&name))?;
    let unwell = other(control.registrar.unwell(&name))?;
    let node = |spec: NodeSpec| {
        let health = unwell.get(&spec.name).copied().unwrap_or_default();
        Node { spec, health }
    };
    let nodes = specs.into_iter().map(node).collect();
    Ok(Answer::json(encode(&Nodes { nodes })))
}

/// `GET /kubeconfig`.
pub(super) fn kubeconfig(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    other(control.registrar.kubeconfig(&name::required(query)?)).map(Answer::yaml)
}

/// `GET /secrets`.
pub(super) fn secrets(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    other(control.registrar.secrets(&name::required(query)?)).map(Answer::yaml)
}

/// `GET /traffic`: what the edges saw for a cluster's address.
pub(super) fn traffic(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    let traffic = other(control.registrar.traffic(&name::required(query)?))?;
    Ok(Answer::json(encode(&traffic)))
}

/// `GET /fault`: what the kernel does with a cluster's packets.
pub(super) fn fault(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    let fault = other(control.registrar.fault(&name::required(query)?))?;
    Ok(Answer::json(encode(&fault)))
}

/// `PUT /fault`: the body is a [`Fault`], such as `{"kind":"drop","per_mille":10}`.
pub(super) async fn put_fault(
    control: &Control,
    query: &Query,
    body: &Bytes,
) -> Result<Answer, ControlError> {
    let name = name::required(query)?;
    let fault: Fault = decode_as(body).map_err(|error| ControlError::Value {
        field: "the body",
        problem: format!("is not a fault: {}", with_causes(&error)),
    })?;
    match fault {
        Fault::Drop { per_mille } if per_mille > 1000 => Err(ControlError::Value {
            field: "per_mille",
            problem: format!("{per_mille} is more than 1000"),
        }),
        Fault::None | Fault::Blackhole | Fault::Drop { .. } => {
            let registrar = Arc::clone(&control.registrar);
            let set = async move { registrar.set_fault(&name, fault).await };
            other(control.finish(set).await?)?;
            Ok(Answer::empty())
        }
    }
}

fn other<T>(outcome: Result<T, RegisterError>) -> Result<T, ControlError> {
    outcome.map_err(|source| ControlError::Other { source })
}
