//! The capabilities of the DaemonSet are enough for what its settings demand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use fakeapi_tests::namespace::Namespace;
use fakeapi_tests::{binary, skip};
use serde_json::Value;

use super::{have_kubectl, rendered, root};

/// How long the program may take until it serves.
const START: Duration = Duration::from_mins(1);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Of a process that has ended already nothing is left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `setpriv` is told so that a process has what the container has.
fn bounding_set() -> Result<String> {
    let objects = rendered(&root().join("deploy/base"))?;
    let daemons = objects.iter().find(|object| object["kind"] == "DaemonSet");
    let security = daemons.map(|daemons| {
        daemons["spec"]["template"]["spec"]["containers"][0]["securityContext"].clone()
    });
    let security = security.unwrap_or_default();
    anyhow::ensure!(security["runAsUser"] == 0, "{security}");
    anyhow::ensure!(security["capabilities"]["drop"][0] == "ALL", "{security}");
    let added = security["capabilities"]["add"].as_array().into_iter().flatten();
    let added = added.filter_map(Value::as_str).map(|name| format!(",+{}", name.to_lowercase()));
    Ok(format!("-all{}", added.collect::<String>()))
}

fn start(ready: &Path, log: &Path, bounding_set: &str) -> Result<Running> {
    let log = fs::File::create(log)?;
    let mut command = Command::new("setpriv");
    command.args(["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"]);
    command.arg(format!("--bounding-set={bounding_set}")).arg(binary::path()?);
    command.args(["run", "--ephemeral", "--kernel", "on", "--pool", "10.77.0.0/16"]);
    command.args(["--control-address", "127.0.0.1:0", "--edge", "lo", "--ready-file"]).arg(ready);
    command.env_clear().stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(Running(command.spawn()?))
}

fn serves(mut program: Running, ready: &Path, log: &Path) -> Result<()> {
    let deadline = Instant::now() + START;
    while !ready.exists() {
        if let Some(status) = program.0.try_wait()? {
            bail!("{status}: {}", fs::read_to_string(log)?);
        }
        if Instant::now() > deadline {
            bail!("not ready after {START:?}: {}", fs::read_to_string(log)?);
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

#[test]
fn the_kernel_side_loads_with_the_capabilities_of_the_pod() {
    let test = "the_kernel_side_loads_with_the_capabilities_of_the_pod";
    if let Some(why) = skip::without_datapath() {
        return skip::tell(test, &why);
    }
    if !have_kubectl(test) {
        return;
    }
    let bounding_set = bounding_set().unwrap();
    let home = tempfile::tempdir().unwrap();
    let (ready, log): (PathBuf, PathBuf) = (home.path().join("ready"), home.path().join("log"));
    let outcome = Namespace::new().run(move || {
        start(&ready, &log, &bounding_set).and_then(|program| serves(program, &ready, &log))
    });
    outcome.unwrap();
}
