//! Which cluster a request is about.

use super::error::ControlError;
use super::go_json::Object;
use super::query::Query;
use crate::register::{ClusterName, NotAClusterName};

/// The cluster that a JSON object names: `resource`, or `namespace` and `cluster`, of which FKAS
/// lets any be empty.
pub(super) fn of_object(object: &Object) -> Result<ClusterName, ControlError> {
    let (namespace, cluster) = (object.string("namespace")?, object.string("cluster")?);
    match object.text("resource")? {
        Some(resource) => Ok(resource.parse()?),
        None => Ok(ClusterName::new(namespace, cluster)),
    }
}

/// The cluster that a query names, if it names one: `resource`, or `namespace` and `cluster`,
/// which also tell a "/" in a namespace from the one between the two.
pub(super) fn of_query(query: &Query) -> Result<Option<ClusterName>, ControlError> {
    if let Some(resource) = query.get("resource") {
        return Ok(Some(resource.parse()?));
    }
    let (namespace, cluster) = (query.get("namespace"), query.get("cluster"));
    let named = namespace.is_some() || cluster.is_some();
    let part = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Ok(named.then(|| ClusterName::new(part(namespace), part(cluster))))
}

/// The cluster that a query must name.
pub(super) fn required(query: &Query) -> Result<ClusterName, ControlError> {
    Ok(of_query(query)?.ok_or(NotAClusterName)?)
}
