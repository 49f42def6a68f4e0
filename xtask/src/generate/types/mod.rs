//! The type table: every protobuf message joined with how Go writes it as JSON and with what
//! OpenAPI says about merging it. Its format is documented in `apiserver::types`.

mod golang;
mod render;
mod schema;

use std::collections::BTreeMap;

use super::{modules::Modules, output::Output, proto};

/// Joins the sources and writes `types.txt.gz`.
pub(super) fn generate(modules: &Modules, output: &mut Output) -> anyhow::Result<()> {
    let packages = proto::packages(modules)?;
    let pool = proto::compile(&packages)?;
    let mut sources = BTreeMap::new();
    for package in &packages {
        let name = proto_package(&package.import);
        sources.insert(name, golang::Source::read(&package.dir)?);
    }
    let schemas = schema::Schemas::read(modules)?;
    let table = render::table(&pool, &sources, &schemas)?;
    output.gzip("types.txt", table.as_bytes())
}

/// The protobuf package go-to-protobuf gives a Go import path.
fn proto_package(import: &str) -> String {
    import.replace('/', ".").replace('-', "_")
}
