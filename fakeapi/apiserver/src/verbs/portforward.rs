//! `pods/portforward`: what is checked before a connection is taken over, in the order of the
//! real server, its kubelet and its container runtime.
//!
//! The API server's own refusals are `Status` objects; the kubelet's and the runtime's, which the
//! real server passes on as they are, are plain text.

use http::header::{
    CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::read;
use crate::body::Body;
use crate::rbac;
use crate::request::{Query, RequestInfo, ResourceRequest, Verb};
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{Key, ResourceId};
use crate::streams::Upgrade;
use crate::streams::portforward::{self, Codec, PORTS_MAX, Target};
use crate::streams::websocket::{self, Tunnel};

/// The one protocol there is.
const PROTOCOL: &str = "portforward.k8s.io";
/// What stands before a protocol that is tunnelled through a WebSocket.
const TUNNEL: &str = "SPDY/3.1+";
const SPDY: &str = "SPDY/3.1";

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_VERSIONS: HeaderName =
    HeaderName::from_static("x-accepted-stream-protocol-versions");

/// A refusal of what stands behind the API server: a code and plain text.
type Refusal = Box<Response<Body>>;

pub(super) fn answer(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    if asked.query.all("dryRun").next().is_some() {
        return Err(Status::bad_request("dryRun is not supported"));
    }
    let ports = ports(&asked.query)?;
    may_create(asked)?;
    let pod = read::fetch(asked)?.value();
    check_node(asked, &pod)?;
    if !websocket::wants_upgrade(&asked.headers) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let Some(upgrade) = &asked.upgrade else {
        return Err(Status::unexplained("request connection cannot be hijacked"));
    };
    Ok(connect(asked, &pod, &ports, upgrade).unwrap_or_else(|refusal| *refusal))
}

/// `PodPortForwardOptions`, read as the real server converts it.
fn ports(query: &Query) -> Result<Vec<u16>, Status> {
    let parse = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().map_err(|_| {
            let why = if digits { "value out of range" } else { "invalid syntax" };
            Status::bad_request(format!(
                "cannot convert to []int32: strconv.ParseUint: parsing {text:?}: {why}"
            ))
        })
    };
    // Rust's parser takes a sign, Go's does not.
    let unsigned = |text: &str| parse(if text.starts_with('+') { "+" } else { text });
    query.all("ports").flat_map(|value| value.split(',')).map(unsigned).collect()
}

/// A `WebSocket` begins with GET, but forwarding is creating: since 1.35 that must be allowed too.
fn may_create(asked: &Asked<'_>) -> Result<(), Status> {
    if asked.request.verb == Verb::Create || asked.user.is_master() {
        return Ok(());
    }
    let create = ResourceRequest { verb: Verb::Create, ..asked.request.clone() };
    let create = RequestInfo::Resource(create);
    let allowed = rbac::allows(&*asked.call.storage, asked.user, &create, "POST");
    if allowed.map_err(Status::internal)? {
        return Ok(());
    }
    Err(Status::forbidden(&asked.request.group, &asked.request.resource, &asked.request.name, ""))
}

/// The API server must find the pod's kubelet.
fn check_node(asked: &Asked<'_>, pod: &Value) -> Result<(), Status> {
    let name = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if name.is_empty() {
        let why = format!("pod {} does not have a host assigned", asked.request.name);
        return Err(Status::bad_request(why));
    }
    let node = asked.call.storage.get(&Key::new(ResourceId::of("", "nodes"), "", name));
    let node = node.ok_or_else(|| Status::not_found("", "nodes", name))?.value();
    match node["status"]["addresses"].as_array() {
        Some(addresses) if !addresses.is_empty() => Ok(()),
        _ => {
            let why = "no preferred addresses found; known addresses: []";
            Err(Status::unexplained(why))
        }
    }
}

/// What the kubelet and the runtime check, then the connection is theirs.
fn connect(
    asked: &Asked<'_>,
    pod: &Value,
    ports: &[u16],
    upgrade: &Upgrade,
) -> Result<Response<Body>, Refusal> {
    let target = || target(asked, pod);
    let closing = (asked.call.closing)();
    if !websocket::is_asked_for(&asked.headers) {
        is_running(asked, pod)?;
        let offered: Vec<&str> = offered_versions(asked)?;
        let protocol = negotiate(&offered)?;
        if !upgrades_to_spdy(asked) {
            return Err(text(
                StatusCode::BAD_REQUEST,
                "unable to upgrade: missing upgrade headers in request",
            ));
        }
        let target = target();
        upgrade.take(move |io| Box::pin(portforward::serve(io, target, closing)));
        return Ok(switching(SPDY, &[(PROTOCOL_VERSION, protocol)]));
    }
    let tunnelled: Vec<&str> = websocket::offered(&asked.headers)
        .into_iter()
        .filter(|name| name.ends_with(".k8s.io"))
        .filter_map(|name| name.strip_prefix(TUNNEL))
        .collect();
    if tunnelled.is_empty() {
        check_ports(ports)?;
    }
    is_running(asked, pod)?;
    if tunnelled.is_empty() {
        let (codec, protocol) = channel_codec(asked)?;
        let accept = accept(asked)?;
        let (target, channels) = (target(), (codec, ports.to_vec()));
        upgrade
            .take(move |io| Box::pin(portforward::serve_channels(io, channels, target, closing)));
        let mut headers = vec![(SEC_WEBSOCKET_ACCEPT, &*accept)];
        headers.extend(protocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)));
        return Ok(switching("websocket", &headers));
    }
    let protocol = format!("{TUNNEL}{}", negotiate(&tunnelled)?);
    let accept = accept(asked)?;
    let target = target();
    upgrade.take(move |io| {
        Box::pin(async move { portforward::serve(Tunnel::over(io).await, target, closing).await })
    });
    let headers = [(SEC_WEBSOCKET_ACCEPT, &*accept), (SEC_WEBSOCKET_PROTOCOL, &*protocol)];
    Ok(switching("websocket", &headers))
}

fn target(asked: &Asked<'_>, pod: &Value) -> Target {
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let host_network = pod["spec"]["hostNetwork"].as_bool().unwrap_or(false);
    let kubelet = asked.call.kubelet.clone();
    let name = (&*asked.request.namespace, &*asked.request.name);
    Target::new(kubelet, name, uid, host_network)
}

/// The kubelet looks among the pods that run.
fn is_running(asked: &Asked<'_>, pod: &Value) -> Result<(), Refusal> {
    if pod["status"]["phase"] == "Running" {
        return Ok(());
    }
    let (name, namespace) = (&asked.request.name, &asked.request.namespace);
    let why = format!("pod not found (\"{name}_{namespace}\")");
    Err(text(StatusCode::INTERNAL_SERVER_ERROR, &why))
}

/// Channels need their ports in the query.
fn check_ports(ports: &[u16]) -> Result<(), Refusal> {
    let why = if ports.is_empty() {
        "query parameter \"port\" is required".to_owned()
    } else if ports.contains(&0) {
        let all: Vec<String> = ports.iter().map(u16::to_string).collect();
        format!("port \"{}\" must be > 0", all.join(","))
    } else if ports.len() > PORTS_MAX {
        format!("at most {PORTS_MAX} ports can be forwarded over one WebSocket")
    } else {
        return Ok(());
    };
    Err(text(StatusCode::BAD_REQUEST, &why))
}

fn offered_versions<'a>(asked: &'a Asked<'_>) -> Result<Vec<&'a str>, Refusal> {
    let mut values = asked.headers.get_all(&PROTOCOL_VERSION).iter().peekable();
    let why = if values.peek().is_none() {
        format!(
            "unable to upgrade: header X-Stream-Protocol-Version does not exist in request with \
             {} headers",
            asked.headers.keys_len()
        )
    } else {
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let offered: Vec<&str> = values
            .iter()
            .flat_map(|value| value.split(','))
            .map(|name| name.trim_matches(' '))
            .filter(|name| !name.is_empty())
            .collect();
        if !offered.is_empty() {
            return Ok(offered);
        }
        format!(
            "unable to upgrade: header X-Stream-Protocol-Version contains [{}], but no valid \
             protocols",
            values.join(" ")
        )
    };
    Err(text(StatusCode::BAD_REQUEST, &why))
}

fn negotiate(offered: &[&str]) -> Result<&'static str, Refusal> {
    if offered.contains(&PROTOCOL) {
        return Ok(PROTOCOL);
    }
    let offered = offered.join(" ");
    let why = format!(
        "unable to upgrade: unable to negotiate protocol: client supports [{offered}], server \
         accepts [{PROTOCOL}]"
    );
    let mut refusal = text(StatusCode::FORBIDDEN, &why);
    refusal.headers_mut().insert(ACCEPTED_VERSIONS, HeaderValue::from_static(PROTOCOL));
    Err(refusal)
}

fn upgrades_to_spdy(asked: &Asked<'_>) -> bool {
    let upgrade = asked.headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|to| to.to_ascii_lowercase().contains("spdy/3.1"))
}

/// The codec of the first channel protocol offered that is known; offering none means binary.
fn channel_codec<'a>(asked: &'a Asked<'_>) -> Result<(Codec, Option<&'a str>), Refusal> {
    let offered = websocket::offered(&asked.headers);
    if offered.is_empty() {
        return Ok((Codec::Binary, None));
    }
    let known = |name: &&'a str| match *name {
        "v4.channel.k8s.io" => Some((Codec::Binary, Some(*name))),
        "v4.base64.channel.k8s.io" => Some((Codec::Base64, Some(*name))),
        _ => None,
    };
    offered.iter().find_map(known).ok_or_else(|| empty(StatusCode::FORBIDDEN))
}

/// The answer to a handshake's challenge.
fn accept(asked: &Asked<'_>) -> Result<String, Refusal> {
    if asked.request.verb != Verb::Get {
        return Err(text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"));
    }
    websocket::accept_key(&asked.headers).ok_or_else(|| {
        let mut refusal = text(StatusCode::BAD_REQUEST, "Bad Request");
        refusal.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        refusal
    })
}

fn switching(to: &'static str, headers: &[(HeaderName, &str)]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let own = response.headers_mut();
    own.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    own.insert(UPGRADE, HeaderValue::from_static(to));
    for (name, value) in headers {
        // They come from headers themselves, or are ours.
        if let Ok(value) = HeaderValue::from_str(value) {
            own.insert(name, value);
        }
    }
    response
}

fn empty(code: StatusCode) -> Refusal {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    Box::new(response)
}

/// Plain text as Go's `http.Error` sends it.
fn text(code: StatusCode, why: &str) -> Refusal {
    let mut response = Response::new(Body::from(format!("{why}\n")));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Box::new(response)
}
