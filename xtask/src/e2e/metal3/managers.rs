//! metal3's three controllers beside Cluster API's.

use std::path::PathBuf;

use anyhow::Result;

use crate::e2e::capi::{BOOTSTRAP, CONTROL_PLANE, CORE, Sources};
use crate::e2e::management::{GoModule, Manager, Ports, Program};
use crate::workspace::root;

/// One of metal3's controllers.
#[derive(Clone, Copy, Debug)]
struct Controller {
    /// Its program's name, its log's, and that of its `go.mod`'s folder.
    name: &'static str,
    /// Its main package, which is its module.
    package: &'static str,
    /// The folder of its kustomization in that module.
    manifests: &'static str,
    flags: fn(&Ports) -> Vec<String>,
}

/// Who speaks to clusters and tells how often.
pub(super) const WITH_FIGURES: [&str; 4] = [CORE, BOOTSTRAP, CONTROL_PLANE, "capm3"];

/// They need each other's definitions, so all are installed before one is started.
const CONTROLLERS: [Controller; 3] = [
    Controller {
        name: "ipam",
        package: "github.com/metal3-io/ip-address-manager",
        manifests: "config/default",
        flags: common,
    },
    Controller {
        name: "bmo",
        package: "github.com/metal3-io/baremetal-operator",
        manifests: "config/overlays/fixture",
        flags: operator,
    },
    Controller {
        name: "capm3",
        package: "github.com/metal3-io/cluster-api-provider-metal3",
        manifests: "config/default",
        flags: common,
    },
];

/// All managers of a management cluster for metal3; where this machine cannot have them, why.
///
/// # Errors
/// When sources that are there do not compile.
pub(super) fn all() -> Result<Result<Vec<Manager>, String>> {
    let sources = match Sources::build()? {
        Ok(sources) => sources,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut managers: Vec<Manager> =
        sources.managers().into_iter().map(|m| Manager { flags: cluster_api, ..m }).collect();
    for controller in CONTROLLERS {
        let module = GoModule::new(root().join("tests/clients/metal3").join(controller.name));
        let program =
            Program { name: controller.name, package: controller.package, variables: &[] };
        if let Err(reason) = module.build(&[program])? {
            return Ok(Err(reason));
        }
        let sources: PathBuf = match module.sources(controller.package) {
            Ok(folder) => folder,
            Err(error) => return Ok(Err(format!("{error:#}"))),
        };
        managers.push(Manager {
            name: controller.name,
            manifests: sources.join(controller.manifests),
            flags: controller.flags,
        });
    }
    Ok(Ok(managers))
}

/// metal3's own end-to-end tests use a `ClusterClass`.
fn cluster_api(ports: &Ports) -> Vec<String> {
    let mut flags = common(ports);
    flags.push("--feature-gates=ClusterTopology=true".to_owned());
    flags
}

/// Defaults, but for where it listens.
fn common(ports: &Ports) -> Vec<String> {
    vec![
        "--leader-elect=false".to_owned(),
        format!("--health-addr={}", ports.health),
        format!("--diagnostics-address={}", ports.metrics),
        "--insecure-diagnostics=true".to_owned(),
        format!("--webhook-port={}", ports.webhooks.port()),
        format!("--webhook-cert-dir={}", ports.certificates.display()),
    ]
}

/// Without Ironic: hosts become what is asked of them, after some seconds.
///
/// It has no flag for its certificates: it looks where controller-runtime's default is. Its
/// figures cannot be had by plain HTTP, so nobody listens for them.
fn operator(ports: &Ports) -> Vec<String> {
    vec![
        "--test-mode".to_owned(),
        format!("--health-addr={}", ports.health),
        "--metrics-addr=0".to_owned(),
        format!("--webhook-port={}", ports.webhooks.port()),
    ]
}
