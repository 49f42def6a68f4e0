//! A provider's own manifests, made to fit a manager that runs as a process of this machine.
//!
//! `kubectl kustomize` gives what a user would apply. Kept are definitions, rights and webhook
//! configurations; webhooks are called at the manager's port of loopback instead of a Service.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What is applied. The rest is a Deployment, its Service, and certificates for that Service.
const KEPT: [&str; 11] = [
    "Namespace",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// What a folder of manifests holds.
#[derive(Debug)]
pub(super) struct Manifests {
    objects: Vec<Value>,
    /// The namespace of the manager's Deployment.
    pub(super) namespace: String,
    /// The service account that it runs as.
    pub(super) service_account: String,
}

impl Manifests {
    /// Reads the kustomization in `folder`, which may be in a read-only module cache.
    ///
    /// # Errors
    /// When `kubectl` refuses it, or it has no Deployment.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let output = Command::new("kubectl")
            .arg("kustomize")
            .arg(folder)
            .output()
            .context("kubectl could not be run")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "no kustomization in {}: {told}", folder.display());
        Self::parse(std::str::from_utf8(&output.stdout)?)
            .with_context(|| format!("manifests of {}", folder.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut objects = text
            .split("\n---\n")
            .map(|part| Ok(serde_saphyr::from_str(part)?))
            .collect::<Result<Vec<Value>>>()?;
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
        let Some(deployment) = deployment else { bail!("there is no Deployment") };
        let word = |value: &Value| value.as_str().unwrap_or("default").to_owned();
        let namespace = word(&deployment["metadata"]["namespace"]);
        let service_account = word(&deployment["spec"]["template"]["spec"]["serviceAccountName"]);
        objects.retain(|object| KEPT.iter().any(|kind| object["kind"] == *kind));
        Ok(Self { objects, namespace, service_account })
    }

    /// A list of its service account, roles and bindings.
    pub(super) fn rights(&self) -> Value {
        let rights = self.objects.iter().filter(|object| {
            ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]
                .iter()
                .any(|kind| object["kind"] == *kind)
        });
        json!({"apiVersion": "v1", "kind": "List", "items": rights.collect::<Vec<_>>()})
    }

    /// A list of its objects, webhooks pointed to the manager at `webhooks` whose certificate
    /// `authority` (a PEM file) has signed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn list(mut self, webhooks: SocketAddr, authority: &Path) -> Result<Value> {
        let bundle = json!(STANDARD.encode(std::fs::read(authority)?));
        for object in &mut self.objects {
            if let Some(webhook) = object.pointer_mut("/spec/conversion/webhook") {
                point(webhook, webhooks, &bundle);
            }
            let called = object.get_mut("webhooks").and_then(Value::as_array_mut);
            for webhook in called.into_iter().flatten() {
                point(webhook, webhooks, &bundle);
            }
        }
        Ok(json!({"apiVersion": "v1", "kind": "List", "items": self.objects}))
    }
}

/// Points a webhook's client to a port of loopback; its path stays.
fn point(webhook: &mut Value, webhooks: SocketAddr, bundle: &Value) {
    let Some(client) = webhook.get_mut("clientConfig") else { return };
    let path = client["service"]["path"].as_str().unwrap_or("/");
    *client = json!({"url": format!("https://{webhooks}{path}"), "caBundle": bundle});
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_called_at_the_port_and_nothing_else_changes() {
        let text = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: m, namespace: capi-system}
spec: {template: {spec: {serviceAccountName: capi-manager}}}
---
kind: Service
metadata: {name: s}
---
kind: CustomResourceDefinition
metadata: {name: a}
spec:
  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v1]
      clientConfig: {service: {name: s, namespace: n, path: /convert}}
---
kind: CustomResourceDefinition
metadata: {name: b}
spec: {group: g}
---
kind: ValidatingWebhookConfiguration
webhooks:
- name: x
  clientConfig: {service: {name: s, namespace: n, path: /validate-x}}
";
        let manifests = Manifests::parse(text).unwrap();
        assert_eq!(manifests.namespace, "capi-system");
        assert_eq!(manifests.service_account, "capi-manager");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "pem").unwrap();
        let list = manifests.list("127.0.0.1:9".parse().unwrap(), file.path()).unwrap();
        let client =
            |path: &str| json!({"url": format!("https://127.0.0.1:9{path}"), "caBundle": "cGVt"});
        assert_eq!(
            list["items"],
            json!([
                {"kind": "CustomResourceDefinition", "metadata": {"name": "a"}, "spec": {"conversion": {
                    "strategy": "Webhook",
                    "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client("/convert")},
                }}},
                {"kind": "CustomResourceDefinition", "metadata": {"name": "b"}, "spec": {"group": "g"}},
                {"kind": "ValidatingWebhookConfiguration",
                 "webhooks": [{"name": "x", "clientConfig": client("/validate-x")}]},
            ])
        );
    }

    #[test]
    fn without_a_deployment_nobody_knows_whose_rights_the_manager_has() {
        assert!(Manifests::parse("kind: Service\nmetadata: {name: s}\n").is_err());
    }
}
