//! Compiles the `.proto` files of the modules.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use prost_reflect::DescriptorPool;
use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

use super::modules::Modules;

/// The name go-to-protobuf gives every file.
const FILE_NAME: &str = "generated.proto";

/// A folder that holds a `generated.proto`, by import path.
pub(super) struct Package {
    /// Such as `k8s.io/api/core/v1`.
    pub(super) import: String,
    pub(super) dir: PathBuf,
}

/// Finds a source by the name other files import it by.
struct Known(BTreeMap<String, PathBuf>);

impl FileResolver for Known {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        match self.0.get(name) {
            Some(path) => File::open(name, path),
            None => Err(Error::file_not_found(name)),
        }
    }
}

/// Every package of the modules that has a protobuf form, by import path.
pub(super) fn packages(modules: &Modules) -> anyhow::Result<Vec<Package>> {
    let mut found = Vec::new();
    for module in modules.staging() {
        walk(&module.dir, &module.path, &mut found)?;
    }
    found.sort_by(|a, b| a.import.cmp(&b.import));
    Ok(found)
}

fn walk(dir: &Path, import: &str, found: &mut Vec<Package>) -> anyhow::Result<()> {
    if dir.join(FILE_NAME).exists() {
        found.push(Package { import: import.to_owned(), dir: dir.to_owned() });
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && name != "testdata" && name != "vendor" {
            walk(&entry.path(), &format!("{import}/{name}"), found)?;
        }
    }
    Ok(())
}

/// Compiles all `packages` into one descriptor pool.
pub(super) fn compile(packages: &[Package]) -> anyhow::Result<DescriptorPool> {
    let sources = packages
        .iter()
        .map(|package| (format!("{}/{FILE_NAME}", package.import), package.dir.join(FILE_NAME)))
        .collect();
    compile_sources(sources)
}

/// Compiles files, each under the name others import it by.
pub(super) fn compile_sources(
    sources: BTreeMap<String, PathBuf>,
) -> anyhow::Result<DescriptorPool> {
    let names: Vec<String> = sources.keys().cloned().collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(Known(sources));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    for name in names {
        compiler.open_file(&name).with_context(|| format!("could not compile {name}"))?;
    }
    Ok(compiler.descriptor_pool())
}
