//! Get and list.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::options::{ListOptions, Match, bad_revision};
use crate::body::Body;
use crate::conversion;
use crate::render::{self, ListHead};
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{Compacted, Object, Page, PageRequest, Scope, Storage};

pub(super) fn get(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    if let Some(wanted) = asked.query.get("resourceVersion")
        && wanted.parse::<u64>().is_err()
    {
        return Err(bad_revision(asked, wanted, false));
    }
    let object = conversion::served(&fetch(asked)?, asked.resource);
    Ok(render::object(asked.form, asked.resource, &object, StatusCode::OK))
}

/// The object that the path names.
pub(super) fn fetch(asked: &Asked<'_>) -> Result<Arc<Object>, Status> {
    let object = asked.call.storage.get(&asked.key());
    object.ok_or_else(|| asked.not_found(&asked.request.name))
}

pub(super) fn list(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    let options = ListOptions::read(asked, false)?;
    let storage = &*asked.call.storage;
    let token = options.next.as_deref().map(Token::decode).transpose()?;
    let at = at_revision(storage, &options, token.as_ref())?;
    let listed = collect(asked, &options, token.as_ref(), at)?;
    let next = if listed.more { listed.token() } else { String::new() };
    let head = ListHead { revision: listed.revision, next, remaining: listed.remaining };
    let objects = conversion::served_all(listed.objects, asked.resource);
    Ok(render::list(asked.form, asked.resource, &head, objects.iter().map(AsRef::as_ref)))
}

/// The revision that the list must show; `None` for the newest.
fn at_revision(
    storage: &dyn Storage,
    options: &ListOptions,
    token: Option<&Token>,
) -> Result<Option<u64>, Status> {
    if let Some(token) = token {
        if options.revision.is_some_and(|revision| revision != 0) {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        return Ok((token.revision > 0).then_some(token.revision.cast_unsigned()));
    }
    let Some(wanted) = options.revision.filter(|wanted| *wanted > 0) else {
        return Ok(None);
    };
    let current = storage.revision();
    if wanted > current {
        return Err(Status::revision_too_large(wanted, current));
    }
    // A limit without a rule means "exactly then", as in the real server.
    let exact =
        options.matching == Match::Exact || (options.matching == Match::Unset && options.limit > 0);
    Ok(exact.then_some(wanted))
}

/// What was found for one page.
struct Listed {
    objects: Vec<Arc<Object>>,
    revision: u64,
    more: bool,
    remaining: Option<i64>,
    last: Option<(String, String)>,
}

impl Listed {
    fn token(&self) -> String {
        let (namespace, name) = self.last.clone().unwrap_or_default();
        Token { version: VERSION.into(), revision: self.revision.cast_signed(), namespace, name }
            .encode()
    }
}

fn collect(
    asked: &Asked<'_>,
    options: &ListOptions,
    token: Option<&Token>,
    at: Option<u64>,
) -> Result<Listed, Status> {
    if let Some(listed) = named(asked, options, at) {
        return Ok(listed);
    }
    let namespace = (!asked.request.namespace.is_empty() && asked.resource.namespaced)
        .then_some(&*asked.request.namespace);
    let everything = options.labels.is_everything() && options.fields.is_everything();
    let limit = if options.limit == 0 { usize::MAX } else { options.limit };
    let page = PageRequest {
        scope: Scope { resource: asked.resource.id, namespace },
        after: token.map(Token::position),
        limit: if everything { limit } else { usize::MAX },
        at,
    };
    let Page { mut objects, revision, mut more } =
        asked.call.storage.list(&page).map_err(|compacted| expired(compacted, token))?;
    if !everything {
        objects.retain(|object| options.wants(object));
        more = objects.len() > limit;
        objects.truncate(limit);
    }
    let last = objects.last().filter(|_| more).map(|object| position(object));
    let remaining = match &last {
        Some(last) if everything => count_after(asked, &page, last, revision),
        _ => None,
    };
    Ok(Listed { objects, revision, more, remaining, last })
}

/// A list of one object by its name is a read of it, not a walk over all.
fn named(asked: &Asked<'_>, options: &ListOptions, at: Option<u64>) -> Option<Listed> {
    let name = options.fields.required("metadata.name")?;
    if at.is_some() || (asked.resource.namespaced && asked.request.namespace.is_empty()) {
        return None;
    }
    let storage = &*asked.call.storage;
    // The revision first: the object may only be newer than the list says, never older.
    let revision = storage.revision();
    let objects: Vec<_> =
        storage.get(&asked.key_of(name)).into_iter().filter(|o| options.wants(o)).collect();
    let revision = objects.iter().map(|o| o.meta.resource_version).fold(revision, u64::max);
    Some(Listed { objects, revision, more: false, remaining: None, last: None })
}

fn count_after(
    asked: &Asked<'_>,
    page: &PageRequest<'_>,
    last: &(String, String),
    revision: u64,
) -> Option<i64> {
    let after = Some((&*last.0, &*last.1));
    let rest = PageRequest { after, at: Some(revision), ..page.clone() };
    let count = asked.call.storage.count(&rest).ok()?;
    i64::try_from(count).ok()
}

fn position(object: &Object) -> (String, String) {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        name: std::borrow::Cow<'a, str>,
        #[serde(borrow, default)]
        namespace: std::borrow::Cow<'a, str>,
    }
    serde_json::from_slice::<Named<'_>>(object.metadata())
        .map(|named| (named.namespace.into_owned(), named.name.into_owned()))
        .unwrap_or_default()
}

/// A page whose revision is no longer kept: the refusal carries a token with which the rest can
/// be read as it is now.
fn expired(compacted: Compacted, token: Option<&Token>) -> Status {
    let Some(token) = token else {
        return Status::expired(format!(
            "The resourceVersion for the provided list is too old: {} ({})",
            compacted.wanted, compacted.oldest
        ));
    };
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token in this \
         response to retrieve the remainder of the results. Continuing with the provided token \
         results in an inconsistent list - objects that were created, modified, or deleted \
         between the time the first chunk was returned and now may show up in the list.",
    );
    status.next = Token { revision: -1, ..token.clone() }.encode();
    status
}

/// The version of the token's form, the real server's own word.
const VERSION: &str = "meta.k8s.io/v1";

/// Where the next page begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Token {
    #[serde(rename = "v")]
    version: String,
    /// The revision that all pages show; -1 for "as it is now".
    #[serde(rename = "rv")]
    revision: i64,
    #[serde(rename = "ns", default)]
    namespace: String,
    #[serde(rename = "start")]
    name: String,
}

impl Token {
    fn encode(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let invalid = || Status::bad_request("continue key is not valid: incorrect encoding");
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| invalid())?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        if token.version == VERSION && token.revision != 0 && token.revision >= -1 {
            return Ok(token);
        }
        Err(Status::bad_request("continue key is not valid: incorrect version"))
    }

    fn position(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}
