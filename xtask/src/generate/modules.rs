//! The Go modules a release consists of, fetched by the Go tool through its own proxy settings.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

/// Modules that follow the release as `v0.<minor>.<patch>`.
const STAGING: [&str; 4] = [
    "k8s.io/api",
    "k8s.io/apimachinery",
    "k8s.io/apiextensions-apiserver",
    "k8s.io/kube-aggregator",
];
const KUBERNETES: &str = "k8s.io/kubernetes";
const GNOSTIC: &str = "github.com/google/gnostic-models";

/// One module on disk.
pub(super) struct Module {
    /// Import path, such as `k8s.io/api`.
    pub(super) path: String,
    version: String,
    /// Where the Go tool unpacked it.
    pub(super) dir: PathBuf,
}

/// All modules of one release.
pub(super) struct Modules {
    kubernetes: Module,
    staging: Vec<Module>,
    gnostic: Module,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    #[serde(default)]
    error: String,
    #[serde(default)]
    dir: PathBuf,
}

impl Modules {
    /// Fetches what is not in the module cache yet.
    pub(super) fn download(release: &str) -> anyhow::Result<Self> {
        let Some(minor_and_patch) = release.strip_prefix("1.") else {
            bail!("a release looks like 1.36.3, not {release:?}");
        };
        let kubernetes = Module::download(KUBERNETES, &format!("v{release}"))?;
        let staging = STAGING
            .iter()
            .map(|path| Module::download(path, &format!("v0.{minor_and_patch}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let gnostic = Module::download(GNOSTIC, &kubernetes.required(GNOSTIC)?)?;
        Ok(Self { kubernetes, staging, gnostic })
    }

    /// A path inside `k8s.io/kubernetes`.
    pub(super) fn kubernetes(&self, path: &str) -> PathBuf {
        self.kubernetes.dir.join(path)
    }

    /// The modules that hold API types.
    pub(super) fn staging(&self) -> &[Module] {
        &self.staging
    }

    /// The version of the modules that hold API types, such as `v0.36.3`.
    pub(super) fn staging_version(&self) -> &str {
        self.staging.first().map_or("", |module| &module.version)
    }

    /// A path inside one of the modules that hold API types.
    pub(super) fn staged(&self, module: &str, path: &str) -> anyhow::Result<PathBuf> {
        let found = self.staging.iter().find(|known| known.path == module);
        Ok(found.with_context(|| format!("{module} is not fetched"))?.dir.join(path))
    }

    /// A path inside the gnostic models, which describe OpenAPI v2 as protobuf.
    pub(super) fn gnostic(&self, path: &str) -> PathBuf {
        self.gnostic.dir.join(path)
    }

    /// Names the sources, as their license asks.
    pub(super) fn notice(&self) -> String {
        let mut text = String::from(
            "The files of this folder, except mod.rs, are made by `cargo xtask gen` from documents\n\
             and definitions of these Go modules, which are licensed under the Apache License,\n\
             Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0):\n\n",
        );
        for module in std::iter::once(&self.kubernetes).chain(&self.staging).chain([&self.gnostic])
        {
            writeln!(text, "- {} {}", module.path, module.version)
                .expect("writing to a string cannot fail");
        }
        text.push_str(
            "\nCopyright The Kubernetes Authors; gnostic models: Copyright Google LLC.\n\
             Changes: reduced to the API group versions served by default, minified, compressed,\n\
             and, for the type table, joined into one description of every message.\n",
        );
        text
    }
}

impl Module {
    pub(super) fn download(path: &str, version: &str) -> anyhow::Result<Self> {
        let result = Command::new("go")
            .args(["mod", "download", "-json", &format!("{path}@{version}")])
            .current_dir(std::env::temp_dir())
            .output()
            .context("could not start the Go tool, which fetches the modules")?;
        let found: Downloaded = serde_json::from_slice(&result.stdout).with_context(|| {
            format!("`go mod download` said {}", String::from_utf8_lossy(&result.stderr))
        })?;
        ensure!(found.error.is_empty(), "could not fetch {path}@{version}: {}", found.error);
        Ok(Self { path: path.to_owned(), version: version.to_owned(), dir: found.dir })
    }

    /// The version of another module this one's `go.mod` asks for.
    fn required(&self, other: &str) -> anyhow::Result<String> {
        let file = read(&self.dir.join("go.mod"))?;
        file.lines()
            .find_map(|line| line.trim().strip_prefix(other)?.split_whitespace().next())
            .map(str::to_owned)
            .with_context(|| format!("{} does not require {other}", self.path))
    }
}

/// Reads a text file and names it when that fails.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}
