//! How clusters are registered from outside: FKAS's HTTP contract on its port 3333.
//!
//! FKAS's users switch by changing an image, so every form its callers have used works here, with
//! the same keys and the same error texts: today's `POST /register` and `PUT /updateNode`, the
//! interim `POST` with base64 keys in JSON, and the first README's `GET`s with everything in the
//! query. What FKAS could not do is new: taking a cluster or a node away, listing, reading a
//! kubeconfig and the Secrets, faults, many registrations in one request.
//!
//! A request goes through `server` (accept, bounds, orderly stop), `connection` (deadlines),
//! `route` (method and path) and one of `register`, `node`, `inspect` or `behaviour`, which read it
//! with `go_json` or `query`, call the [`Registrar`](crate::register::Registrar), and answer
//! with `answer`; `error` is the only place that chooses codes and texts.

mod answer;
mod behaviour;
mod bulk;
mod connection;
mod control;
mod error;
mod go_json;
mod inspect;
mod limits;
mod name;
mod node;
mod pem_text;
mod query;
mod register;
mod route;
mod server;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use control::MetricsText;
pub use limits::Limits;
pub use server::{ControlServer, Stopped};

pub(crate) use answer::CAUSE_HEADER;

/// An error and everything under it in one line, the way logs and the command line show it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}
