//! What a member answers to HTTP that is no gRPC: health, metrics, version.

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use tonic::body::Body;

use super::Member;
use super::member::Door;

/// Answers a probe. Health and metrics are at both ports, as etcd has them.
pub(super) fn answer<B>(member: &Member, request: &Request<B>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "Method Not Allowed\n".into());
    }
    match request.uri().path() {
        "/health" => health(member),
        "/livez" => ready(member, false),
        "/readyz" => ready(member, true),
        "/metrics" => metrics(member),
        "/version" if member.door == Door::Client => {
            let version = member.backing.etcd_version(&member.node);
            let minor = version.rsplit_once('.').map_or(&*version, |(minor, _)| minor);
            let body = serde_json::json!({
                "etcdserver": version, "etcdcluster": format!("{minor}.0"),
                "storage": format!("{minor}.0"),
            });
            text(StatusCode::OK, "application/json", body.to_string())
        }
        _ => {
            text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n".into())
        }
    }
}

fn health(member: &Member) -> Response<Body> {
    let reason = match member.now() {
        Err(status) => status.message().to_owned(),
        Ok(moment) if moment.view.members.leader.is_none() => "RAFT NO LEADER".to_owned(),
        Ok(moment) => {
            let alarm = moment.view.members.alarms.first();
            alarm.map(|(_, alarm)| format!("ALARM {alarm:?}").to_uppercase()).unwrap_or_default()
        }
    };
    let healthy = reason.is_empty();
    let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({"health": healthy.to_string(), "reason": reason});
    text(code, "application/json", body.to_string())
}

/// Whether the process runs, and with `leader` whether it can serve.
fn ready(member: &Member, leader: bool) -> Response<Body> {
    let serves = |moment: super::member::Moment| !leader || moment.view.members.leader.is_some();
    let (code, body) = if member.now().is_ok_and(serves) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "[-]linearizable_read failed: no leader\n")
    };
    text(code, "text/plain; charset=utf-8", body.to_owned())
}

fn metrics(member: &Member) -> Response<Body> {
    use std::fmt::Write;
    let Ok(moment) = member.now() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", String::new());
    };
    let members = &moment.view.members;
    let mut body = String::new();
    let mut gauge = |name: &str, help: &str, value: u64| {
        // Writing into a String cannot fail.
        let _ = writeln!(body, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    };
    gauge("etcd_server_has_leader", "Whether a leader exists.", members.leader.is_some().into());
    let leads = members.leader == Some(moment.own.id);
    gauge("etcd_server_is_leader", "Whether this member leads.", leads.into());
    gauge("etcd_server_is_learner", "Whether this member is a learner.", moment.own.learner.into());
    gauge("etcd_debugging_mvcc_current_revision", "The current revision.", moment.view.revision);
    text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
}

fn text(code: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
