//! The image's configuration: what an engine starts, and as whom.

use anyhow::{Result, bail};
use serde_json::json;

use super::contents::NONROOT;
use super::layer::Layer;

/// No build is known by its time: the same inputs give the same image.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// The configuration (OCI image specification, `config.md`; Docker reads the same), as JSON.
///
/// # Errors
/// On a processor that has no name in images.
pub(super) fn config(layers: &[Layer]) -> Result<Vec<u8>> {
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    let history: Vec<_> = layers
        .iter()
        .map(|_| json!({"created": CREATED, "created_by": "cargo xtask image"}))
        .collect();
    let config = json!({
        "created": CREATED,
        "architecture": architecture()?,
        "os": "linux",
        "config": {
            "User": format!("{NONROOT}:{NONROOT}"),
            "ExposedPorts": {"3333/tcp": {}},
            "Env": ["PATH=/"],
            "Entrypoint": ["/fkas"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "fakeapi",
                "org.opencontainers.image.description":
                    "One program that is up to 100,000 Kubernetes clusters",
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
            },
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    });
    Ok(serde_json::to_vec(&config)?)
}

/// The processor's name in images, which is Go's.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("images for {other} are not made"),
    }
}
