//! The servers of etcd's gRPC services, from the protobuf definitions of its Go module.
//!
//! Comments are left out: the generated code describes the wire, etcd's documents describe the
//! rest.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use prost_reflect::prost_types::FileDescriptorSet;
use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};
use regex::Regex;

use super::modules::{Module, read};
use super::output::Output;

/// The module, at the version whose client KubeadmControlPlane 1.14 uses.
const MODULE: (&str, &str) = ("go.etcd.io/etcd/api/v3", "v3.6.14");
/// What the services' definitions call files of the module.
const PREFIX: &str = "etcd/api/";
/// The file that holds the services.
const SERVICES: &str = "etcd/api/etcdserverpb/rpc.proto";
/// The package that holds nothing but options.
const OPTIONS_PACKAGE: &str = "versionpb";

/// Makes the servers and writes them, or compares with what is committed.
pub(super) fn run(check: bool) -> anyhow::Result<()> {
    let module = Module::download(MODULE.0, MODULE.1)?;
    let mut output = Output::default();
    let made = tempfile::tempdir()?;
    tonic_prost_build::configure()
        .build_transport(false)
        .client_mod_attribute(".", "#[cfg(test)]")
        .bytes(".")
        .out_dir(made.path())
        .compile_fds(compile(&module.dir)?)?;
    for entry in std::fs::read_dir(made.path())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        output.text(&name, &read(&path)?);
    }
    output.text("NOTICE", &notice());
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fakeapi/src/etcd/generated");
    if check { output.compare(&folder) } else { output.write(&folder) }
}

fn notice() -> String {
    let (path, version) = MODULE;
    format!(
        "The files of this folder, except mod.rs, are made by `cargo xtask gen` from the protobuf\n\
         definitions of the Go module {path} {version}, which is licensed under the Apache\n\
         License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).\n\n\
         Copyright The etcd Authors. Changes: translated to Rust, without comments.\n"
    )
}

/// The services and the messages they use.
fn compile(module: &Path) -> anyhow::Result<FileDescriptorSet> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(InModule(module.to_owned()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(SERVICES).context("could not compile etcd's services")?;
    let mut set = compiler.file_descriptor_set();
    set.file.retain(|file| {
        let package = file.package();
        package != OPTIONS_PACKAGE && !package.starts_with("google.")
    });
    Ok(set)
}

/// Finds the module's files by the names they call each other.
struct InModule(PathBuf);

impl FileResolver for InModule {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let Some(path) = name.strip_prefix(PREFIX) else {
            return Err(Error::file_not_found(name));
        };
        let source = std::fs::read_to_string(self.0.join(path)).map_err(Error::new)?;
        File::from_source(name, &without_foreign_options(&source))
    }
}

/// A definition without the options of Go's and gateways' generators: they are defined in
/// modules of their own, and say nothing about the wire.
fn without_foreign_options(source: &str) -> String {
    const FOREIGN: &str = r"(?:gogoproto|google\.api|grpc\.gateway)";
    let pattern = |text: &str| Regex::new(text).expect("the pattern is well-formed");
    let imports = r#"(?m)^import "(?:gogoproto|google/api|protoc-gen-openapiv2)/[^"]*";$"#;
    let fields = format!(r"\[\({FOREIGN}[^\]]*\]");
    let text = pattern(imports).replace_all(source, "");
    let mut rest: &str = &pattern(&fields).replace_all(&text, "");
    let option = pattern(&format!(r"option\s+\({FOREIGN}"));
    let mut out = String::with_capacity(rest.len());
    while let Some(found) = option.find(rest) {
        out.push_str(&rest[..found.start()]);
        rest = &rest[found.start()..];
        rest = &rest[statement(rest)..];
    }
    out.push_str(rest);
    out
}

/// How long the statement is that a text begins with: up to the semicolon outside of braces.
fn statement(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}
