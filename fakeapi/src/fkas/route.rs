//! A request's way from method and path to its handler.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tracing::{debug, warn};

use super::answer::Answer;
use super::connection::Phases;
use super::control::Control;
use super::error::ControlError;
use super::query::Query;
use super::{behaviour, inspect, node, register, with_causes};

/// Answers one request. Whatever goes wrong is an answer too.
pub(super) async fn serve(
    control: &Control,
    phases: &Phases,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let query = Query::parse(head.uri.query());
    let path = head.uri.path();
    let outcome = match read(control, body).await {
        Ok(body) => {
            phases.serving();
            dispatch(control, &head.method, path, &query, body).await
        }
        Err(error) => Err(error),
    };
    phases.answered();
    let answer = outcome.unwrap_or_else(|error| {
        // The query is left out: it may hold private keys.
        let (method, why) = (&head.method, with_causes(&error));
        if error.status().is_server_error() {
            warn!(%method, path, why, "control request failed");
        } else {
            debug!(%method, path, why, "control request refused");
        }
        error.into()
    });
    answer.into()
}

/// The whole body, within its bound. One that says it is too long is not read at all.
async fn read(control: &Control, body: Incoming) -> Result<Bytes, ControlError> {
    let limit = control.limits.body_bytes;
    let too_large = ControlError::TooLarge { limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large);
    }
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large),
        Err(error) => Err(ControlError::Body(error)),
    }
}

async fn dispatch(
    control: &Control,
    method: &Method,
    path: &str,
    query: &Query,
    body: Bytes,
) -> Result<Answer, ControlError> {
    match path {
        "/register" => clusters(control, method, query, body).await,
        "/updateNode" => nodes(control, method, query, body).await,
        "/fault" => match *method {
            Method::GET => inspect::fault(control, query),
            Method::PUT => inspect::put_fault(control, query, &body).await,
            _ => Err(ControlError::Method { allow: "GET, PUT" }),
        },
        "/nodeHealth" => {
            only(method, &Method::PUT, "PUT")?;
            behaviour::put_node_health(control, query, &body).await
        }
        "/memberHealth" => {
            only(method, &Method::PUT, "PUT")?;
            behaviour::put_member_health(control, query, &body).await
        }
        "/leader" => {
            only(method, &Method::PUT, "PUT")?;
            behaviour::put_leader(control, query).await
        }
        _ if let Some(name) = behaviour::rule_name(path) => {
            behaviour::serve(control, method, name, &body).await
        }
        _ => reading(control, method, path, query),
    }
}

async fn clusters(
    control: &Control,
    method: &Method,
    query: &Query,
    body: Bytes,
) -> Result<Answer, ControlError> {
    match *method {
        Method::GET | Method::POST if register::registers(query) => {
            register::from_query(control, query).await
        }
        Method::GET => inspect::clusters(control, query),
        Method::POST => register::post(control, body).await,
        Method::DELETE => register::delete(control, query, &body).await,
        _ => Err(ControlError::Method { allow: "GET, POST, DELETE" }),
    }
}

async fn nodes(
    control: &Control,
    method: &Method,
    query: &Query,
    body: Bytes,
) -> Result<Answer, ControlError> {
    match *method {
        Method::GET if query.get("nodeName").is_some() => node::from_query(control, query).await,
        Method::GET => inspect::nodes(control, query),
        Method::PUT => node::put(control, body).await,
        Method::DELETE => node::delete(control, query, &body).await,
        _ => Err(ControlError::Method { allow: "GET, PUT, DELETE" }),
    }
}

/// The paths that can only be read.
fn reading(
    control: &Control,
    method: &Method,
    path: &str,
    query: &Query,
) -> Result<Answer, ControlError> {
    let known =
        ["/kubeconfig", "/secrets", "/traffic", "/healthz", "/readyz", "/livez", "/metrics"];
    if !known.contains(&path) {
        return Err(ControlError::NoSuchPath);
    }
    only(method, &Method::GET, "GET")?;
    match path {
        "/kubeconfig" => inspect::kubeconfig(control, query),
        "/secrets" => inspect::secrets(control, query),
        "/traffic" => inspect::traffic(control, query),
        "/metrics" => Ok(Answer::metrics((control.metrics)())),
        _ => Ok(Answer::plain("ok")),
    }
}

fn only(method: &Method, wanted: &Method, allow: &'static str) -> Result<(), ControlError> {
    if method == wanted { Ok(()) } else { Err(ControlError::Method { allow }) }
}
