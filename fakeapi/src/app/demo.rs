//! Clusters to begin with, and what a new user reads.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::warn;

use super::options::RunOptions;
use crate::netlink::Choice;
use crate::register::{CONTROL_PLANE_LABEL, ClusterName, NodeSpec, RegisterRequest, Registrar};
use crate::registry::Registry;

/// How many clusters are made at the same time.
const AT_ONCE: usize = 64;

/// Makes the clusters that `--clusters` asks for; those that are there stay.
pub(super) async fn fill(options: &RunOptions, registry: &Arc<Registry>) -> Result<()> {
    if options.clusters == 0 {
        return Ok(());
    }
    let bar = bar(options.clusters);
    stream::iter(1..=options.clusters)
        .map(|number| {
            let bar = &bar;
            async move {
                make(registry, &name(number), options.nodes).await?;
                bar.inc(1);
                Ok::<_, anyhow::Error>(())
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    bar.finish_and_clear();
    Ok(())
}

fn name(number: u32) -> ClusterName {
    ClusterName::new("default", format!("cluster-{number:05}"))
}

fn bar(length: u32) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(u64::from(length)), target);
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} clusters  {per_sec}  {eta} left");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

async fn make(registry: &Arc<Registry>, name: &ClusterName, nodes: u32) -> Result<()> {
    registry
        .register(name, RegisterRequest::default())
        .await
        .with_context(|| format!("cluster {name} could not be made"))?;
    let there = registry.nodes(name)?.len();
    for number in u32::try_from(there)?..nodes {
        let mut node = NodeSpec {
            name: format!("{}-node-{number}", name.name),
            provider_id: Some(format!("fake:///{}/node-{number}", name.name)),
            ..NodeSpec::default()
        };
        if number == 0 {
            node.labels.insert(CONTROL_PLANE_LABEL.to_owned(), String::new());
        }
        registry.put_node(name, node).await?;
    }
    Ok(())
}

/// Writes the first cluster's kubeconfig and says what to do next.
pub(super) async fn announce(
    options: &RunOptions,
    choice: &Choice,
    registry: &Arc<Registry>,
) -> Result<()> {
    let control = options.control_address;
    println!("fakeapi serves {} clusters ({choice})", registry.len());
    println!("a new one, a control plane for it, and its kubeconfig:");
    println!("  fakeapi register demo");
    println!("  fakeapi node add demo demo-0 --control-plane");
    println!("  fakeapi kubeconfig demo > demo.kubeconfig");
    println!("  kubectl --kubeconfig demo.kubeconfig get nodes");
    println!("or as FKAS's users do:");
    println!(r#"  curl http://{control}/register -d '{{"cluster":"demo","namespace":"default"}}'"#);
    let Some(first) = Registrar::clusters(&**registry, None, 1).into_iter().next() else {
        return Ok(());
    };
    let name = ClusterName::new(first.namespace, first.name);
    let path = match &options.write_kubeconfig {
        Some(path) => {
            write_kubeconfig(registry, &name, path).await?;
            path.clone()
        }
        None if options.clusters > 0 => {
            let path = default_kubeconfig();
            // Nobody asked for the file: without it there is the control port.
            if let Err(error) = write_kubeconfig(registry, &name, &path).await {
                warn!("{error:#}");
                return Ok(());
            }
            path
        }
        None => return Ok(()),
    };
    println!("cluster {name} is there:");
    println!("  kubectl --kubeconfig {} get nodes", path.display());
    Ok(())
}

fn default_kubeconfig() -> PathBuf {
    std::env::temp_dir().join(format!("fakeapi-{}.kubeconfig", std::process::id()))
}

async fn write_kubeconfig(
    registry: &Arc<Registry>,
    name: &ClusterName,
    path: &Path,
) -> Result<()> {
    write_private(path, &registry.kubeconfig(name)?)
        .await
        .with_context(|| format!("the kubeconfig could not be written to {}", path.display()))
}

/// Writes a file that holds a key: nobody else reads it.
async fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .await?;
    file.write_all(text.as_bytes()).await?;
    file.flush().await
}
