//! `/updateNode`: a node comes, changes and goes.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry as Slot, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;

use super::answer::Answer;
use super::bulk::Entry;
use super::control::Control;
use super::error::ControlError;
use super::go_json::{Body, InvalidJson, Object, encode};
use super::limits::BULK_IN_FLIGHT;
use super::name;
use super::query::Query;
use crate::register::{CONTROL_PLANE_LABEL, ClusterName, NodeSpec, Registrar};

/// `PUT /updateNode` with JSON: one node or an array of them.
pub(super) async fn put(control: &Control, body: Bytes) -> Result<Answer, ControlError> {
    match Body::decode(&body)? {
        Body::One(object) => one(control, NodeUpdate::from_object(&object)?).await,
        Body::Many(items) => many(control, items).await,
    }
}

/// The first README's `GET`: every node is a control-plane node.
pub(super) async fn from_query(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    one(control, NodeUpdate::from_query(query)?).await
}

/// `DELETE /updateNode`.
pub(super) async fn delete(
    control: &Control,
    query: &Query,
    body: &Bytes,
) -> Result<Answer, ControlError> {
    let (cluster, node) = if let Some(cluster) = name::of_query(query)? {
        let node = query.get("nodeName").unwrap_or_default();
        (cluster, node.to_owned())
    } else {
        let object = Body::decode(body)?.one()?;
        (name::of_object(&object)?, object.string("nodeName")?)
    };
    let registrar = Arc::clone(&control.registrar);
    let outcome =
        control.finish(async move { registrar.remove_node(&cluster, &node).await }).await?;
    outcome.map_err(|source| ControlError::Other { source })?;
    Ok(Answer::empty())
}

/// A node to add or change.
#[derive(Debug)]
struct NodeUpdate {
    cluster: ClusterName,
    node: NodeSpec,
}

impl NodeUpdate {
    fn from_object(object: &Object) -> Result<Self, ControlError> {
        Ok(Self {
            cluster: name::of_object(object)?,
            node: NodeSpec {
                name: object.string("nodeName")?,
                provider_id: object.text("providerID")?,
                uuid: object.text("uuid")?,
                labels: object.strings("labels")?,
                version: object.text("k8sversion")?,
            },
        })
    }

    fn from_query(query: &Query) -> Result<Self, ControlError> {
        Ok(Self {
            cluster: name::required(query)?,
            node: NodeSpec {
                name: query.get("nodeName").unwrap_or_default().to_owned(),
                provider_id: query.text("providerID").map(str::to_owned),
                labels: BTreeMap::from([(CONTROL_PLANE_LABEL.to_owned(), String::new())]),
                ..NodeSpec::default()
            },
        })
    }

    async fn carry_out(self, registrar: &dyn Registrar) -> Result<(), ControlError> {
        let node = self.node.name.clone();
        registrar
            .put_node(&self.cluster, self.node)
            .await
            .map_err(|source| ControlError::Node { node, source })
    }
}

async fn one(control: &Control, update: NodeUpdate) -> Result<Answer, ControlError> {
    let registrar = Arc::clone(&control.registrar);
    control.finish(async move { update.carry_out(&*registrar).await }).await??;
    Ok(Answer::empty())
}

async fn many(
    control: &Control,
    items: Vec<Result<Object, InvalidJson>>,
) -> Result<Answer, ControlError> {
    let (mut entries, lanes) = lanes(items);
    let registrar = Arc::clone(&control.registrar);
    let outcomes: Vec<_> = control
        .finish(async move {
            stream::iter(lanes)
                .map(|lane| in_order(&*registrar, lane))
                .buffer_unordered(BULK_IN_FLIGHT)
                .concat()
                .await
        })
        .await?;
    for (position, outcome) in outcomes {
        if let Err(error) = outcome {
            let entry = std::mem::take(&mut entries[position]);
            entries[position] = entry.failed(&error);
        }
    }
    Ok(Answer::json(encode(&entries)))
}

/// The nodes of one cluster, each with its position in the request.
type Lane = Vec<(usize, NodeUpdate)>;

/// An entry for each item, and the readable ones by cluster: within a cluster the order counts,
/// for a worker is refused before the first control-plane node.
fn lanes(items: Vec<Result<Object, InvalidJson>>) -> (Vec<Entry>, Vec<Lane>) {
    let mut entries = Vec::with_capacity(items.len());
    let mut lanes: Vec<Lane> = Vec::new();
    let mut lane_of = HashMap::new();
    for (position, item) in items.into_iter().enumerate() {
        let update =
            item.map_err(ControlError::from).and_then(|item| NodeUpdate::from_object(&item));
        match update {
            Ok(update) => {
                entries.push(Entry::node(&update.cluster, &update.node.name));
                let lane = match lane_of.entry(update.cluster.clone()) {
                    Slot::Occupied(slot) => *slot.get(),
                    Slot::Vacant(slot) => {
                        lanes.push(Lane::new());
                        *slot.insert(lanes.len() - 1)
                    }
                };
                lanes[lane].push((position, update));
            }
            Err(error) => entries.push(Entry::default().failed(&error)),
        }
    }
    (entries, lanes)
}

async fn in_order(registrar: &dyn Registrar, lane: Lane) -> Vec<(usize, Result<(), ControlError>)> {
    let mut outcomes = Vec::with_capacity(lane.len());
    for (position, update) in lane {
        outcomes.push((position, update.carry_out(registrar).await));
    }
    outcomes
}
