//! The templates of what a node brings.

use serde_json::Value;

use super::super::baseline::{BaselineError, documents};
use super::super::template::Template;
use super::names::PodKind;

const NODE: &str = include_str!("node.yaml");
const PODS: &str = include_str!("pods.yaml");

/// The templates of what a node brings.
#[derive(Debug)]
pub(crate) struct NodeTemplates {
    pub(crate) node: Template,
    /// The Node of one that was not always ready.
    pub(crate) fallen: Template,
    pub(crate) lease: Template,
    pub(crate) dns: Template,
    pub(crate) etcd_leader: Template,
    pods: [Template; 5],
}

impl NodeTemplates {
    pub(crate) fn new() -> Result<Self, BaselineError> {
        let [node, lease] = objects("node.yaml", NODE)?;
        let mut fallen = node.clone();
        fallen["status"]["conditions"] = "«=conditions»".into();
        let [proxy, dns, etcd, etcd_leader, apiserver, manager, scheduler] =
            templates("pods.yaml", PODS)?;
        Ok(Self {
            node: Template::new(node)?,
            fallen: Template::new(fallen)?,
            lease: Template::new(lease)?,
            dns,
            etcd_leader,
            pods: [proxy, etcd, apiserver, manager, scheduler],
        })
    }

    pub(crate) fn pod(&self, kind: PodKind) -> &Template {
        &self.pods[usize::try_from(kind.offset()).expect("there are five kinds")]
    }
}

/// The templates of a YAML stream that holds `N`.
fn templates<const N: usize>(
    document: &'static str,
    text: &str,
) -> Result<[Template; N], BaselineError> {
    let templates = objects::<N>(document, text)?.into_iter().map(Template::new);
    let templates: Vec<Template> = templates.collect::<Result<_, _>>()?;
    templates.try_into().map_err(|_| BaselineError::Missing("document of a node"))
}

/// The objects of a YAML stream that holds `N`.
fn objects<const N: usize>(
    document: &'static str,
    text: &str,
) -> Result<[Value; N], BaselineError> {
    let objects = documents(document, text)?;
    objects.try_into().map_err(|_| BaselineError::Missing("document of a node"))
}
