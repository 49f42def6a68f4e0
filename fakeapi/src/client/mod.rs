//! A small HTTP client of the control port, so that the command line and tests go the same way in
//! as FKAS's callers do.

mod error;
mod http;
mod wire;

use std::collections::VecDeque;

use ::http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

pub use error::ClientError;
pub use wire::{Outcome, Page, Registered};

use crate::behaviour::Report;
use crate::register::{
    ClusterName, ClusterSummary, Fault, MemberHealth, NodeHealth, NodeSpec, RegisterRequest,
    Traffic,
};

/// Clusters asked for in one page when all are listed.
const PAGE: usize = 10_000;

/// The largest array sent in one request, in bytes; the server takes twice as much.
const ARRAY_BYTES: usize = 512 << 10;

/// What stands for itself in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/');

/// A client of one control port.
#[derive(Clone, Debug)]
pub struct Client {
    http: http::Transport,
}

impl Client {
    /// A client of the control port at `server`, such as `http://127.0.0.1:3333`. Does not
    /// connect yet.
    ///
    /// # Errors
    /// `server` is not an `http` URL.
    pub fn new(server: &str) -> Result<Self, ClientError> {
        let http = http::Transport::new(server)?;
        Ok(Self { http })
    }

    /// Registers a cluster and tells where it is served.
    pub async fn register(
        &self,
        name: &ClusterName,
        request: &RegisterRequest,
    ) -> Result<Registered, ClientError> {
        let body = wire::registration(name, request);
        self.http.json(Method::POST, "/register", body).await
    }

    /// Registers many clusters; the outcomes come in the order of `clusters`.
    ///
    /// # Errors
    /// A request as a whole failed. Outcomes of earlier requests are lost then; registering again
    /// is harmless.
    pub async fn register_many(
        &self,
        clusters: impl IntoIterator<Item = (ClusterName, RegisterRequest)>,
    ) -> Result<Vec<Outcome>, ClientError> {
        let items = clusters.into_iter().map(|(name, request)| wire::registration(&name, &request));
        self.send_arrays(Method::POST, "/register", items).await
    }

    /// Takes a cluster away.
    pub async fn unregister(&self, name: &ClusterName) -> Result<(), ClientError> {
        let target = about("/register", name);
        self.http.send(Method::DELETE, &target, None).await?;
        Ok(())
    }

    /// One cluster.
    pub async fn cluster(&self, name: &ClusterName) -> Result<ClusterSummary, ClientError> {
        self.http.get(&about("/register", name)).await
    }

    /// A page of clusters; `next` is what the page before said.
    pub async fn page(&self, limit: usize, next: &str) -> Result<Page, ClientError> {
        let next = utf8_percent_encode(next, QUERY);
        let target = format!("/register?limit={limit}&continue={next}");
        self.http.get(&target).await
    }

    /// All clusters, in order of their names.
    pub async fn clusters(&self) -> Result<Vec<ClusterSummary>, ClientError> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let page = self.page(PAGE, &next).await?;
            all.extend(page.clusters);
            next = page.next;
            if next.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Adds a node or changes the one that is there.
    pub async fn put_node(&self, name: &ClusterName, node: &NodeSpec) -> Result<(), ClientError> {
        let body = wire::node(name, node);
        let body = Some(body.to_string());
        self.http.send(Method::PUT, "/updateNode", body).await?;
        Ok(())
    }

    /// Adds or changes many nodes, of one cluster in the order given; the outcomes come in the
    /// order of `nodes`.
    ///
    /// # Errors
    /// As for [`Client::register_many`].
    pub async fn put_nodes(
        &self,
        nodes: impl IntoIterator<Item = (ClusterName, NodeSpec)>,
    ) -> Result<Vec<Outcome>, ClientError> {
        let items = nodes.into_iter().map(|(name, node)| wire::node(&name, &node));
        self.send_arrays(Method::PUT, "/updateNode", items).await
    }

    /// Removes a node.
    pub async fn remove_node(&self, name: &ClusterName, node: &str) -> Result<(), ClientError> {
        let node = utf8_percent_encode(node, QUERY);
        let target = format!("{}&nodeName={node}", about("/updateNode", name));
        self.http.send(Method::DELETE, &target, None).await?;
        Ok(())
    }

    /// The nodes of a cluster.
    pub async fn nodes(&self, name: &ClusterName) -> Result<Vec<NodeSpec>, ClientError> {
        let answer: wire::Nodes = self.http.get(&about("/updateNode", name)).await?;
        Ok(answer.nodes)
    }

    /// A kubeconfig (YAML) for the cluster's administrator.
    pub async fn kubeconfig(&self, name: &ClusterName) -> Result<String, ClientError> {
        self.http.text(&about("/kubeconfig", name)).await
    }

    /// The cluster's CA Secrets (YAML, two documents).
    pub async fn secrets(&self, name: &ClusterName) -> Result<String, ClientError> {
        self.http.text(&about("/secrets", name)).await
    }

    /// Sets what the kernel does with the cluster's packets.
    pub async fn set_fault(&self, name: &ClusterName, fault: Fault) -> Result<(), ClientError> {
        let body = wire::encode(&fault).to_string();
        let target = about("/fault", name);
        self.http.send(Method::PUT, &target, Some(body)).await?;
        Ok(())
    }

    /// What the kernel does with the cluster's packets.
    pub async fn fault(&self, name: &ClusterName) -> Result<Fault, ClientError> {
        self.http.get(&about("/fault", name)).await
    }

    /// Adds a rule of behaviour or replaces the one of its name.
    pub async fn put_behaviour(&self, name: &str, rule: &Value) -> Result<Report, ClientError> {
        self.http.json(Method::PUT, &self::rule(name), rule.to_string()).await
    }

    /// Removes a rule of behaviour.
    pub async fn remove_behaviour(&self, name: &str) -> Result<(), ClientError> {
        self.http.send(Method::DELETE, &rule(name), None).await?;
        Ok(())
    }

    /// One rule of behaviour, and what it does.
    pub async fn behaviour(&self, name: &str) -> Result<Report, ClientError> {
        self.http.get(&rule(name)).await
    }

    /// All rules of behaviour, and what they do.
    pub async fn behaviours(&self) -> Result<Vec<Report>, ClientError> {
        let reports: wire::Reports = self.http.get("/behaviour").await?;
        Ok(reports.behaviours)
    }

    /// Lets a node's kubelet fare otherwise.
    pub async fn set_node_health(
        &self,
        name: &ClusterName,
        node: &str,
        health: NodeHealth,
    ) -> Result<(), ClientError> {
        let body = serde_json::json!({ "health": health }).to_string();
        self.http.send(Method::PUT, &on_node("/nodeHealth", name, node), Some(body)).await?;
        Ok(())
    }

    /// Lets the etcd member on a node fare otherwise.
    pub async fn set_member_health(
        &self,
        name: &ClusterName,
        node: &str,
        health: MemberHealth,
    ) -> Result<(), ClientError> {
        let body = serde_json::json!({ "health": health }).to_string();
        self.http.send(Method::PUT, &on_node("/memberHealth", name, node), Some(body)).await?;
        Ok(())
    }

    /// Gives leadership of etcd to the member on a node, or to the next one; tells the node.
    pub async fn move_leader(
        &self,
        name: &ClusterName,
        node: Option<&str>,
    ) -> Result<String, ClientError> {
        let target = match node {
            Some(node) => on_node("/leader", name, node),
            None => about("/leader", name),
        };
        let leader: wire::Leader = self.http.json(Method::PUT, &target, String::new()).await?;
        Ok(leader.node_name)
    }

    /// What the edges saw for the cluster's address.
    pub async fn traffic(&self, name: &ClusterName) -> Result<Traffic, ClientError> {
        self.http.get(&about("/traffic", name)).await
    }

    async fn send_arrays(
        &self,
        method: Method,
        target: &str,
        items: impl Iterator<Item = serde_json::Value>,
    ) -> Result<Vec<Outcome>, ClientError> {
        let mut texts: VecDeque<String> = items.map(|item| item.to_string()).collect();
        let mut outcomes = Vec::with_capacity(texts.len());
        while !texts.is_empty() {
            let (count, array) = next_array(&mut texts);
            let method = method.clone();
            let answer: Vec<Outcome> = self.http.json(method, target, array).await?;
            if answer.len() != count {
                return Err(ClientError::Count { sent: count, answered: answer.len() });
            }
            outcomes.extend(answer);
        }
        Ok(outcomes)
    }
}

/// Takes as many items as fit into one request, but at least one.
fn next_array(texts: &mut VecDeque<String>) -> (usize, String) {
    let mut array = "[".to_owned();
    let mut count = 0;
    while let Some(text) = texts.front() {
        if count > 0 && array.len() + text.len() > ARRAY_BYTES {
            break;
        }
        if count > 0 {
            array.push(',');
        }
        array.push_str(text);
        count += 1;
        texts.pop_front();
    }
    array.push(']');
    (count, array)
}

/// `path` asked about one cluster.
fn about(path: &str, name: &ClusterName) -> String {
    let ClusterName { namespace, name } = name;
    let namespace = utf8_percent_encode(namespace, QUERY);
    let name = utf8_percent_encode(name, QUERY);
    format!("{path}?namespace={namespace}&cluster={name}")
}

/// `path` asked about one node of a cluster.
fn on_node(path: &str, name: &ClusterName, node: &str) -> String {
    format!("{}&nodeName={}", about(path, name), utf8_percent_encode(node, QUERY))
}

/// The path of a rule of behaviour.
fn rule(name: &str) -> String {
    format!("/behaviour/{}", utf8_percent_encode(name, QUERY))
}

#[cfg(test)]
mod tests;
