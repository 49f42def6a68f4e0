//! What each verb does: one table, and a file for each family.

mod cluster_ip;
mod commit;
mod create;
mod defaults;
mod delete;
mod delete_options;
mod garbage;
mod namespace;
mod node_port;
mod options;
mod patch;
mod portforward;
mod read;
mod review;
mod strategy;
mod subresource;
mod update;
mod watch;

use http::Response;

use crate::body::Body;
use crate::request::Verb;
use crate::server::Asked;
use crate::status::Status;
use crate::storage::Key;

/// Answers a request for resources.
pub(crate) fn answer(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    if !asked.request.subresource.is_empty() {
        return subresource::answer(asked);
    }
    if let Some(review) = review::answer(asked) {
        return review;
    }
    let verb = asked.request.verb;
    if !asked.resource.allows(verb.as_str()) {
        return Err(Status::method_not_allowed());
    }
    match verb {
        Verb::Get => read::get(asked),
        Verb::List => read::list(asked),
        Verb::Watch => watch::watch(asked),
        Verb::Create => create::create(asked),
        Verb::Update => update::update(asked),
        Verb::Patch => patch::patch(asked),
        Verb::Delete => delete::delete(asked),
        Verb::DeleteCollection => delete::delete_collection(asked),
        Verb::Proxy => Err(Status::method_not_allowed()),
    }
}

impl Asked<'_> {
    /// The key of the object that the path names.
    fn key(&self) -> Key {
        self.key_of(&self.request.name)
    }

    /// The key of an object of this name in the request's namespace.
    fn key_of(&self, name: &str) -> Key {
        let namespace = if self.resource.namespaced { &*self.request.namespace } else { "" };
        Key::new(self.resource.id, namespace, name)
    }

    fn not_found(&self, name: &str) -> Status {
        Status::not_found(&self.resource.group, &self.resource.plural, name)
    }
}
