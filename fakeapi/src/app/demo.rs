//! Clusters to begin with, and what a new user reads.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
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

/// The mode of a file that only its owner reads.
const PRIVATE: u32 = 0o600;

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
    let there: BTreeSet<String> = registry.nodes(name)?.into_iter().map(|node| node.name).collect();
    for number in 0..nodes {
        let node_name = format!("{}-node-{number}", name.name);
        if there.contains(&node_name) {
            continue;
        }
        let mut node = NodeSpec {
            name: node_name,
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
    let guide = guide(options, choice, registry.len());
    let text = match first_kubeconfig(options, registry).await? {
        Some((name, path)) => {
            let path = path.display();
            format!("{guide}cluster {name} is there:\n  kubectl --kubeconfig {path} get nodes\n")
        }
        None => guide,
    };
    // Whoever reads may be gone: that is no reason to stop serving.
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        warn!(%error, "what to do next could not be shown");
    }
    Ok(())
}

fn guide(options: &RunOptions, choice: &Choice, clusters: usize) -> String {
    let control = options.control_address;
    format!(
        r#"fakeapi serves {clusters} clusters ({choice})
a new one, a control plane for it, its kubeconfig:
  fakeapi register demo
  fakeapi node add demo demo-0 --control-plane
  fakeapi kubeconfig demo > demo.kubeconfig
  kubectl --kubeconfig demo.kubeconfig get nodes
or, as FKAS's users do:
  curl http://{control}/register -d '{{"cluster":"demo","namespace":"default"}}'
"#
    )
}

fn default_kubeconfig() -> PathBuf {
    std::env::temp_dir().join(format!("fakeapi-{}.kubeconfig", std::process::id()))
}

/// Writes the kubeconfig of the first cluster, where one is asked for or a new user may want it.
async fn first_kubeconfig(
    options: &RunOptions,
    registry: &Arc<Registry>,
) -> Result<Option<(ClusterName, PathBuf)>> {
    let Some(first) = Registrar::clusters(&**registry, None, 1).into_iter().next() else {
        return Ok(None);
    };
    let name = ClusterName::new(first.namespace, first.name);
    let path = match &options.write_kubeconfig {
        Some(path) => path.clone(),
        None if options.clusters > 0 => default_kubeconfig(),
        None => return Ok(None),
    };
    let written = write_private(&path, &registry.kubeconfig(&name)?)
        .await
        .with_context(|| format!("the kubeconfig cannot be written to {}", path.display()));
    match written {
        Ok(()) => Ok(Some((name, path))),
        Err(error) if options.write_kubeconfig.is_some() => Err(error),
        Err(error) => {
            // Nobody asked for the file: without it there is the control port.
            warn!("{error:#}");
            Ok(None)
        }
    }
}

/// Writes a file that holds a key: nobody else reads it, also when it was there before.
async fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE)
        .open(path)
        .await?;
    // Not for a pipe or a terminal. Refused when the file is another user's.
    if file.metadata().await?.is_file() {
        file.set_permissions(Permissions::from_mode(PRIVATE)).await?;
    }
    file.write_all(text.as_bytes()).await?;
    file.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_else_reads_the_key_in_a_file_that_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        std::fs::write(&path, "something longer that was there before").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write_private(&path, "key").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
    }
}
