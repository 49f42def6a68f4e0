//! `/behaviour`: rules of behaviour come and go. `/nodeHealth` and `/memberHealth`: one node or
//! etcd member fares otherwise.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Answer;
use super::control::Control;
use super::error::ControlError;
use super::go_json::{decode_as, encode};
use super::query::Query;
use super::{name, with_causes};
use crate::behaviour::{BehaviourError, Behaviours, Report, Rule};
use crate::register::{MemberHealth, NodeHealth, Registrar};

/// What a `/behaviour` path names; `None` when it is another path.
pub(super) fn rule_name(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/behaviour")?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

#[derive(Serialize)]
struct Reports {
    behaviours: Vec<Report>,
}

/// `GET /behaviour`, and `GET`, `PUT` and `DELETE /behaviour/<name>`.
pub(super) async fn serve(
    control: &Control,
    method: &Method,
    name: &str,
    body: &Bytes,
) -> Result<Answer, ControlError> {
    match (method, name) {
        (&Method::GET, "") => {
            let behaviours = door(&*control.registrar)?.all_behaviours();
            Ok(Answer::json(encode(&Reports { behaviours })))
        }
        (_, "") => Err(ControlError::Method { allow: "GET" }),
        (&Method::GET, name) => {
            let report = door(&*control.registrar)?.behaviour(name);
            let report = report.ok_or_else(|| BehaviourError::Unknown(name.to_owned()))?;
            Ok(Answer::json(encode(&report)))
        }
        (&Method::PUT, name) => {
            let rule = read(name, body)?;
            let registrar = Arc::clone(&control.registrar);
            let put = async move {
                let report = door(&*registrar)?.put_behaviour(rule).await?;
                Ok::<_, ControlError>(Answer::json(encode(&report)))
            };
            control.finish(put).await?
        }
        (&Method::DELETE, name) => {
            let (registrar, name) = (Arc::clone(&control.registrar), name.to_owned());
            let remove = async move {
                door(&*registrar)?.remove_behaviour(&name).await?;
                Ok::<_, ControlError>(Answer::empty())
            };
            control.finish(remove).await?
        }
        _ => Err(ControlError::Method { allow: "GET, PUT, DELETE" }),
    }
}

fn door(registrar: &dyn Registrar) -> Result<&dyn Behaviours, ControlError> {
    registrar.behaviours().ok_or(ControlError::NoSuchPath)
}

/// The rule in a body; the path names it, and the body need not.
fn read(name: &str, body: &Bytes) -> Result<Rule, ControlError> {
    let mut value: Value = decode_as(body).map_err(|error| not_a("rule", &error))?;
    if let Some(rule) = value.as_object_mut() {
        match rule.get("name") {
            None => {
                rule.insert("name".to_owned(), name.into());
            }
            Some(other) if *other != name => {
                let problem = format!("{other} is not {name:?}, which the path says");
                return Err(ControlError::Value { field: "name", problem });
            }
            Some(_) => {}
        }
        // Whoever sends back what a list showed sends this, too.
        rule.remove("status");
    }
    Ok(Rule::read(value).map_err(BehaviourError::from)?)
}

fn not_a(what: &str, error: &serde_json::Error) -> ControlError {
    let problem = format!("is not a {what}: {}", with_causes(error));
    ControlError::Value { field: "the body", problem }
}

#[derive(Deserialize)]
struct Wanted<H> {
    health: H,
}

/// `PUT /nodeHealth`: the query names the cluster and `nodeName`, the body is
/// `{"health":"ready"}`, `notReady` or `unreachable`.
pub(super) async fn put_node_health(
    control: &Control,
    query: &Query,
    body: &Bytes,
) -> Result<Answer, ControlError> {
    let (cluster, node) = (name::required(query)?, node_name(query)?);
    let Wanted::<NodeHealth> { health } =
        decode_as(body).map_err(|error| not_a("node's health", &error))?;
    let registrar = Arc::clone(&control.registrar);
    let set = async move { registrar.set_node_health(&cluster, &node, health).await };
    let outcome = control.finish(set).await?;
    outcome.map_err(|source| ControlError::Other { source })?;
    Ok(Answer::empty())
}

/// `PUT /memberHealth`: the query names the cluster and `nodeName`, the body is
/// `{"health":"healthy"}`, `lost`, `learner`, `noSpace` or `corrupt`.
pub(super) async fn put_member_health(
    control: &Control,
    query: &Query,
    body: &Bytes,
) -> Result<Answer, ControlError> {
    let (cluster, node) = (name::required(query)?, node_name(query)?);
    let Wanted::<MemberHealth> { health } =
        decode_as(body).map_err(|error| not_a("member's health", &error))?;
    let registrar = Arc::clone(&control.registrar);
    let set = async move { registrar.set_member_health(&cluster, &node, health).await };
    let outcome = control.finish(set).await?;
    outcome.map_err(|source| ControlError::Other { source })?;
    Ok(Answer::empty())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Leader {
    node_name: String,
}

/// `PUT /leader`: the query names the cluster and, when it is not to be the next one, the
/// `nodeName` whose etcd member is to lead.
pub(super) async fn put_leader(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    let (cluster, node) = (name::required(query)?, query.text("nodeName").map(str::to_owned));
    let registrar = Arc::clone(&control.registrar);
    let set = async move { registrar.move_leader(&cluster, node.as_deref()).await };
    let outcome = control.finish(set).await?;
    let node_name = outcome.map_err(|source| ControlError::Other { source })?;
    Ok(Answer::json(encode(&Leader { node_name })))
}

fn node_name(query: &Query) -> Result<String, ControlError> {
    let missing = || ControlError::Value { field: "nodeName", problem: "is missing".to_owned() };
    query.text("nodeName").map(str::to_owned).ok_or_else(missing)
}
