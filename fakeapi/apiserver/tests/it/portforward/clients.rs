//! client-go and moby/spdystream as judges.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::{listen, server};

/// Where the Go program is.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/portforward");

/// Builds the program; none, with the reason told, where that is not possible.
async fn built(to: &Path) -> bool {
    let name = "client_go_forwards_ports";
    let skip = |why: &str| {
        assert!(std::env::var_os("FAKEAPI_NO_SKIP").is_none(), "{name} may not be skipped: {why}");
        eprintln!("SKIP {name}: {why}");
        false
    };
    let go = |arguments: &[&str]| {
        let mut command = Command::new("go");
        command.args(arguments).current_dir(PROGRAM).stdin(Stdio::null()).kill_on_drop(true);
        command
    };
    match go(&["version"]).output().await {
        Ok(version) if version.status.success() => {}
        _ => return skip("there is no Go here"),
    }
    let modules = go(&["mod", "download"]).output().await.unwrap();
    if !modules.status.success() {
        return skip("its modules cannot be downloaded");
    }
    let build = go(&["build", "-mod=readonly", "-o"]).arg(to).output().await.unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_go_forwards_ports() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("portforward");
    if !built(&program).await {
        return;
    }
    let address = listen(server().await).await;
    let output = Command::new(program)
        .arg(format!("-server=http://{address}"))
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("28 checks, 0 failed"), "{said}");
}
