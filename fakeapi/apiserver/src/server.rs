//! A request's way through the server: who may, what is it about, who answers.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use tokio::time::{Duration, timeout};
use tracing::warn;

use crate::auth::User;
use crate::body::Body;
use crate::catalog::{Catalog, CatalogError, Resource};
use crate::codec::MAX_BODY;
use crate::counts::RequestCounts;
use crate::discovery::{self, Discovery};
use crate::finish::{Sent, finish};
use crate::kubelet::Kubelet;
use crate::negotiate::Form;
use crate::request::{Query, RequestInfo, ResourceRequest, Verb};
use crate::selector::FieldSelector;
use crate::status::Status;
use crate::storage::Storage;
use crate::streams::Upgrade;
use crate::types::TypeTable;
use crate::{generated, impersonate, rbac, render, verbs};

/// How long a request's body may take to arrive.
pub const BODY_DEADLINE: Duration = Duration::from_mins(1);

/// What all servers of one release share: its kinds, its documents, its rules.
#[derive(Debug)]
pub struct ApiServer {
    catalog: Catalog,
    discovery: Discovery,
    counts: RequestCounts,
}

/// One server among those that share an [`ApiServer`], as one request meets it.
#[derive(Clone)]
pub struct Call {
    /// Its objects.
    pub storage: Arc<dyn Storage>,
    /// Who asks; `None` when credentials were shown that are not valid.
    pub user: Option<User>,
    /// Where the server is reached, `ip:port`.
    pub address: Arc<str>,
    /// The version it says it is, `v1.36.3`.
    pub version: Arc<str>,
    /// Resolves when the server stops: watches end then.
    pub closing: Closing,
    /// What stands behind its pods.
    pub kubelet: Arc<dyn Kubelet>,
}

/// Tells watches that the server stops.
pub type Closing = Arc<dyn Fn() -> futures::future::BoxFuture<'static, ()> + Send + Sync>;

/// A request, read.
pub(crate) struct Asked<'a> {
    pub(crate) server: &'a ApiServer,
    pub(crate) call: &'a Call,
    pub(crate) user: &'a User,
    pub(crate) request: ResourceRequest,
    pub(crate) resource: &'a Arc<Resource>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) form: Form,
    /// When the connection can be taken over.
    pub(crate) upgrade: Option<Upgrade>,
}

impl ApiServer {
    /// The release whose documents the crate carries.
    ///
    /// # Errors
    /// When the generated documents cannot be read.
    pub fn new() -> Result<Self, CatalogError> {
        let catalog = Catalog::from_discovery(generated::discovery())?;
        let counts = RequestCounts::new(&catalog);
        Ok(Self { catalog, discovery: Discovery::new(generated::discovery())?, counts })
    }

    /// The kinds that are served.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// How often what was asked, over all servers. Requests that were refused to their user, or
    /// are about nothing that is served, are not among them.
    pub fn counts(&self) -> &RequestCounts {
        &self.counts
    }

    /// The types of the release's kinds.
    pub fn types(&self) -> &'static TypeTable {
        crate::types::table()
    }

    /// Answers a request.
    ///
    /// Dropping the future before a write was begun leaves nothing done; a write that was begun
    /// is complete before the future can be dropped, because storing does not wait.
    pub async fn handle<B>(&self, call: &Call, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        let (parts, body) = request.into_parts();
        let sent = Sent::read(&parts.headers);
        let query = Query::parse(parts.uri.query());
        let form = Form::choose(&parts.headers, &query);
        let plain = form.as_ref().copied().unwrap_or(Form::JSON).whole();
        let answer = async {
            let info = RequestInfo::parse(&parts.method, parts.uri.path(), &query);
            let asking = call.user.as_ref().ok_or_else(Status::unauthorized)?;
            let other = impersonate::impersonated(&*call.storage, asking, &parts.headers)?;
            let user = other.as_ref().unwrap_or(asking);
            admit(call, user, &info, (&parts.method, &query))?;
            match info {
                RequestInfo::Path(path) => {
                    self.counts.document(&path);
                    let form = form.unwrap_or(Form::JSON);
                    Ok(self.document(call, &parts.method, (&path, &query), &parts.headers, form))
                }
                RequestInfo::Resource(request) if !self.catalog.has_group(&request.group) => {
                    Ok(discovery::not_found())
                }
                RequestInfo::Resource(request) => {
                    check_method(&parts.method)?;
                    let resource = self.find(&request)?;
                    self.counts.resource(resource, &request);
                    let body = collect(body, &parts.headers).await?;
                    let (headers, form) = (parts.headers, form?);
                    let upgrade = parts.extensions.get().cloned();
                    verbs::answer(&Asked {
                        server: self,
                        call,
                        user,
                        request,
                        resource,
                        query,
                        headers,
                        body,
                        form,
                        upgrade,
                    })
                }
            }
        };
        let answer: Result<Response<Body>, Status> = answer.await;
        let response = answer.unwrap_or_else(|status| render::status(plain, &status));
        finish(response, &sent)
    }

    /// Answers a request with a refusal that its caller decided on, as if the server had.
    pub fn refuse<B>(request: &Request<B>, refusal: &Status) -> Response<Body> {
        let query = Query::parse(request.uri().query());
        let form = Form::choose(request.headers(), &query).unwrap_or(Form::JSON);
        finish(render::status(form.whole(), refusal), &Sent::read(request.headers()))
    }

    fn document(
        &self,
        call: &Call,
        method: &Method,
        (path, query): (&str, &Query),
        headers: &HeaderMap,
        form: Form,
    ) -> Response<Body> {
        let known = discovery::is_document(path);
        if known && *method != Method::GET {
            return render::status(form.whole(), &Status::method_not_allowed());
        }
        self.discovery
            .answer(path, query, headers, form, &call.address, &call.version)
            .unwrap_or_else(discovery::not_found)
    }

    fn find(&self, request: &ResourceRequest) -> Result<&Arc<Resource>, Status> {
        let resource = self
            .catalog
            .resource(&request.group, &request.version, &request.resource)
            .ok_or_else(Status::unknown_resource)?;
        if request.name.is_empty() && matches!(request.verb, Verb::Update | Verb::Patch) {
            return Err(Status::method_not_allowed());
        }
        let own_namespace = request.resource == "namespaces" && request.group.is_empty();
        if !resource.namespaced && !request.namespace.is_empty() && !own_namespace {
            return Err(Status::unknown_resource());
        }
        let needs_namespace = resource.namespaced && request.namespace.is_empty();
        if needs_namespace && !matches!(request.verb, Verb::List | Verb::Watch) {
            // A collection over all namespaces can only be read; an object always has one.
            return Err(if request.name.is_empty() {
                Status::method_not_allowed()
            } else {
                Status::unknown_resource()
            });
        }
        Ok(resource)
    }
}

/// Refuses what a user may not do.
fn admit(
    call: &Call,
    user: &User,
    info: &RequestInfo,
    (method, query): (&Method, &Query),
) -> Result<(), Status> {
    if user.is_master() {
        return Ok(());
    }
    let info = named(info, query);
    let info = &*info;
    let allowed =
        rbac::allows(&*call.storage, user, info, method.as_str()).map_err(Status::internal)?;
    if allowed {
        return Ok(());
    }
    let why = rbac::refusal(user, info, method.as_str());
    Err(match info {
        RequestInfo::Path(_) => Status::forbidden("", "", "", &why),
        RequestInfo::Resource(r) => Status::forbidden(&r.group, &r.resource, &r.name, &why),
    })
}

/// Reads a body within its bounds of size and time.
async fn collect<B>(body: B, headers: &HeaderMap) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let too_large = || Status::too_large(format!("Request entity too large: limit is {MAX_BODY}"));
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let read = async {
        let mut all = BytesMut::new();
        let mut body = std::pin::pin!(body);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Status::bad_request(format!("the body could not be read: {error}"))
            })?;
            if let Ok(data) = frame.into_data() {
                if all.len() + data.len() > MAX_BODY {
                    return Err(too_large());
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(all.freeze())
    };
    timeout(BODY_DEADLINE, read).await.unwrap_or_else(|_| {
        warn!(length = ?headers.get(http::header::CONTENT_LENGTH), "a body did not arrive");
        Err(Status::timeout("the request's body did not arrive in time"))
    })
}

/// A list or watch of one object by its name is judged as a request for that object.
fn named<'a>(info: &'a RequestInfo, query: &Query) -> Cow<'a, RequestInfo> {
    if let RequestInfo::Resource(request) = info
        && matches!(request.verb, Verb::List | Verb::Watch)
        && request.name.is_empty()
        && let Some(selector) = query.get("fieldSelector")
        && let Ok(selector) = FieldSelector::parse(selector)
        && let Some(name) = selector.required("metadata.name")
    {
        let named = ResourceRequest { name: name.to_owned(), ..request.clone() };
        return Cow::Owned(RequestInfo::Resource(named));
    }
    Cow::Borrowed(info)
}

/// Methods that no resource has.
fn check_method(method: &Method) -> Result<(), Status> {
    match *method {
        Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Ok(()),
        _ => Err(Status::method_not_allowed()),
    }
}
