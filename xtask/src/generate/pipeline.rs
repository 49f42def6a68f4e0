//! The order of the steps: fetch the modules, make every file, then write or compare.

use anyhow::Context as _;

use super::{
    Args, discovery, etcd, modules::Modules, openapi, output::Output, rbac, types, vectors,
};

/// Makes all files of one release and writes them, or compares with what is committed.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.etcd {
        return etcd::run(args.check).context("etcd");
    }
    let modules = Modules::download(&args.release)?;
    let mut output = Output::default();
    let served = discovery::generate(&modules, &mut output).context("discovery")?;
    openapi::generate(&modules, &served, &mut output).context("OpenAPI")?;
    types::generate(&modules, &mut output).context("types")?;
    rbac::generate(&modules, &mut output).context("RBAC")?;
    output.text("NOTICE", &modules.notice());
    output.text("RELEASE", &format!("v{}\n", args.release));
    if args.vectors {
        vectors::write(&modules).context("vectors")?;
    }
    if args.check {
        output.compare(&args.out)?
    } else {
        output.write(&args.out)?
    }
    etcd::run(args.check).context("etcd")
}
