//! A call's way to the service that answers it.
//!
//! Every call of every member begins here, whatever it asks for: `judge` is the place for delays
//! and failures of etcd.

use std::sync::{Arc, LazyLock};

use http::{Method, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;

use super::Member;
use super::generated::etcdserverpb::auth_server::AuthServer;
use super::generated::etcdserverpb::cluster_server::ClusterServer;
use super::generated::etcdserverpb::kv_server::KvServer;
use super::generated::etcdserverpb::lease_server::LeaseServer;
use super::generated::etcdserverpb::maintenance_server::MaintenanceServer;
use super::generated::etcdserverpb::watch_server::WatchServer;
use super::member::Door;
use super::{probe, status};
use crate::serve::{Draining, RequestBody};

/// The largest request: etcd's `--max-request-bytes` and what gRPC adds.
const MAX_REQUEST: usize = 2 * 1024 * 1024;

/// The services. They know no member: each request brings its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Etcd;

/// The services as they are called, made once for all members of the process.
struct Services {
    kv: KvServer<Etcd>,
    watch: WatchServer<Etcd>,
    lease: LeaseServer<Etcd>,
    cluster: ClusterServer<Etcd>,
    maintenance: MaintenanceServer<Etcd>,
    auth: AuthServer<Etcd>,
}

static SERVICES: LazyLock<Services> = LazyLock::new(|| {
    let etcd = Arc::new(Etcd);
    Services {
        kv: KvServer::from_arc(etcd.clone()).max_decoding_message_size(MAX_REQUEST),
        watch: WatchServer::from_arc(etcd.clone()).max_decoding_message_size(MAX_REQUEST),
        lease: LeaseServer::from_arc(etcd.clone()).max_decoding_message_size(MAX_REQUEST),
        cluster: ClusterServer::from_arc(etcd.clone()).max_decoding_message_size(MAX_REQUEST),
        maintenance: MaintenanceServer::from_arc(etcd.clone())
            .max_decoding_message_size(MAX_REQUEST),
        auth: AuthServer::from_arc(etcd).max_decoding_message_size(MAX_REQUEST),
    }
});

/// Answers one request to a member.
pub(super) async fn answer(member: Arc<Member>, request: Request<RequestBody>) -> Response<Body> {
    if member.door == Door::Metrics || *request.method() != Method::POST {
        return probe::answer(&member, &request);
    }
    let member = match judge(member).await {
        Ok(member) => member,
        Err(refusal) => return refusal.into_http(),
    };
    // A stream of requests, as a watch is, goes on as long as its client likes.
    let mut request = request.map(RequestBody::without_deadline);
    request.extensions_mut().insert(member);
    let path = request.uri().path();
    let service = path.strip_prefix("/etcdserverpb.").and_then(|path| path.split('/').next());
    let Services { kv, watch, lease, cluster, maintenance, auth } = &*SERVICES;
    // A copy of a service is a pointer and its bounds, and its errors are answers.
    let answer = match service {
        Some("KV") => kv.clone().call(request).await,
        Some("Watch") => watch.clone().call(request).await,
        Some("Lease") => lease.clone().call(request).await,
        Some("Cluster") => cluster.clone().call(request).await,
        Some("Maintenance") => maintenance.clone().call(request).await,
        Some("Auth") => auth.clone().call(request).await,
        _ => {
            let name = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            Ok(Status::unimplemented(format!("unknown service {name}")).into_http())
        }
    };
    answer.unwrap_or_else(|never| match never {})
}

/// Lets a call wait as rules of behaviour say; answers the member as the call is to see it.
async fn judge(member: Arc<Member>) -> Result<Arc<Member>, Status> {
    let verdict = member.backing.verdict();
    if !verdict.delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(verdict.delay) => {}
            () = member.backing.end().cancelled() => {}
        }
    }
    if verdict.fails {
        return Err(status::timed_out());
    }
    let leaderless = verdict.leaderless;
    Ok(if leaderless { Arc::new(Member { leaderless, ..(*member).clone() }) } else { member })
}

/// The member that a request went to.
pub(super) fn member<T>(request: &tonic::Request<T>) -> Result<Arc<Member>, Status> {
    let member = request.extensions().get::<Arc<Member>>();
    member.cloned().ok_or_else(|| Status::internal("fakeapi: a request came to no member"))
}

/// What tells a stream that its server or its cluster ends.
pub(super) fn draining<T>(request: &tonic::Request<T>) -> Option<Draining> {
    request.extensions().get::<Draining>().cloned()
}
