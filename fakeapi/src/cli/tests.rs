use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;

use clap::error::ErrorKind;
use pretty_assertions::assert_eq;

use super::*;
use crate::fkas::fake::{FakeRegistrar, test_ca};
use crate::fkas::{ControlServer, Limits};
use crate::register::Fault;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("fakeapi").chain(line.split_whitespace()))
}

#[test]
fn the_command_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn names_and_defaults() {
    for (text, namespace, name) in
        [("ns/name", "ns", "name"), ("name", "default", "name"), ("a/b/c", "a", "b/c")]
    {
        let cli = parse(&format!("unregister {text}")).unwrap();
        let Command::Control(ControlCommand::Unregister { cluster }) = cli.command else {
            panic!("not an unregister");
        };
        assert_eq!((cluster.0.namespace.as_str(), cluster.0.name.as_str()), (namespace, name));
    }
    let cli = parse("list").unwrap();
    assert_eq!(cli.output, Format::Table);
    // Global flags may stand before and after the command.
    let cli = parse("--server http://a:1 node list x -o json").unwrap();
    assert_eq!((cli.server.as_str(), cli.output), ("http://a:1", Format::Json));
}

#[test]
fn usage_errors_have_code_2() {
    for (line, kind) in [
        ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("nonsense", ErrorKind::InvalidSubcommand),
        ("register", ErrorKind::MissingRequiredArgument),
        ("register a --address 10.0.0.1", ErrorKind::ValueValidation),
        ("register a --ca-cert x", ErrorKind::MissingRequiredArgument),
        ("register a --etcd-key x", ErrorKind::MissingRequiredArgument),
        ("node add a", ErrorKind::MissingRequiredArgument),
        ("node add a n --label x", ErrorKind::ValueValidation),
        ("node add a n --label =x", ErrorKind::ValueValidation),
        ("fault a drop", ErrorKind::MissingRequiredArgument),
        ("fault a drop --per-mille 1001", ErrorKind::ValueValidation),
        ("fault a fire", ErrorKind::InvalidValue),
        ("list -o xml", ErrorKind::InvalidValue),
        ("completions dos", ErrorKind::InvalidValue),
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}");
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut script = Vec::new();
        Cli::completions(shell, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("unregister") && script.contains("per-mille"), "{shell}");
    }
}

/// A server, and what the command line says to it.
struct Session {
    server: ControlServer,
    registrar: Arc<FakeRegistrar>,
}

impl Session {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registrar = Arc::new(FakeRegistrar::default());
        let metrics = Arc::new(String::new);
        let door = Arc::clone(&registrar) as _;
        let server = ControlServer::start(listener, door, metrics, Limits::default()).unwrap();
        Self { server, registrar }
    }

    async fn run(&self, line: &str) -> Result<String, CliError> {
        let cli = parse(line).unwrap();
        let Command::Control(command) = cli.command else {
            panic!("{line} asks nobody");
        };
        let client = Client::new(&format!("http://{}", self.server.address()))?;
        let mut screen = Screen::new(Vec::new(), cli.output, false);
        execute::execute(&client, command, &mut screen).await?;
        Ok(String::from_utf8(screen.into_inner()).unwrap())
    }

    async fn fails(&self, line: &str) -> String {
        with_causes(&self.run(line).await.expect_err(line))
    }
}

#[tokio::test]
async fn a_clusters_life() {
    let session = Session::start();
    let table = "NAMESPACE  NAME  ADDRESS        ACTIVE  NODES  VERSION  CREATED\n\
                 default    c     10.0.0.1:6443  no      0      v1.35.0  2026-11-21T09:00:00Z\n";
    assert_eq!(session.run("register c --version v1.35.0").await.unwrap(), table);
    assert_eq!(session.run("list").await.unwrap(), table);
    assert_eq!(
        session
            .run("node add c cp-1 --control-plane --provider-id metal3://a/b/c --label a=b=c --uuid u")
            .await
            .unwrap(),
        "node default/c/cp-1 added\n"
    );
    assert_eq!(
        session.run("node list c").await.unwrap(),
        "NAME  ROLE           VERSION  PROVIDER-ID     UUID\n\
         cp-1  control-plane  -        metal3://a/b/c  u\n"
    );
    assert_eq!(session.registrar.get("default/c").unwrap().nodes["cp-1"].labels["a"], "b=c");
    session.run("fault c drop --per-mille 25").await.unwrap();
    let fault = session.registrar.get("default/c").unwrap().fault;
    assert_eq!(fault, Fault::Drop { per_mille: 25 });
    assert_eq!(session.run("node remove c cp-1").await.unwrap(), "node default/c/cp-1 removed\n");
    assert_eq!(session.run("unregister c").await.unwrap(), "cluster default/c unregistered\n");
    assert!(session.registrar.clusters.lock().is_empty());
}

#[tokio::test]
async fn programs_get_json_and_yaml() {
    let session = Session::start();
    let json = session.run("register ns/c -o json").await.unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["clusters"][0]["address"], "10.0.0.1:6443");
    let yaml = session.run("list -o yaml").await.unwrap();
    let same: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(same, parsed);
    assert_eq!(
        session.run("kubeconfig ns/c").await.unwrap(),
        "kind: Config\nserver: https://10.0.0.1:6443\n"
    );
    let secrets = session.run("secrets ns/c -o json").await.unwrap();
    let secrets: serde_json::Value = serde_json::from_str(&secrets).unwrap();
    assert_eq!(secrets["kind"], "List");
    assert_eq!(secrets["items"][1]["metadata"]["name"], "c-etcd");
    let done = session.run("unregister ns/c -o json").await.unwrap();
    let done: serde_json::Value = serde_json::from_str(&done).unwrap();
    assert_eq!(done["result"], "unregistered");
}

#[tokio::test]
async fn cas_come_from_files() {
    let session = Session::start();
    let ca = test_ca();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (name, text) in [("crt", &ca.certificate), ("key", &ca.key)] {
        std::fs::File::create(path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let line = format!("register a/b --ca-cert {} --ca-key {}", path("crt"), path("key"));
    session.run(&line).await.unwrap();
    let request = session.registrar.get("a/b").unwrap().request;
    assert_eq!((request.ca, request.etcd_ca), (Some(ca), None));

    let missing = path("missing");
    let line = format!("register a/c --etcd-cert {missing} --etcd-key {missing}");
    let said = session.fails(&line).await;
    assert!(said.starts_with(&format!("could not read {missing}: No such file")), "{said}");
    let swapped = format!("register a/d --ca-cert {} --ca-key {}", path("key"), path("crt"));
    assert_eq!(session.fails(&swapped).await, "caCert is not a PEM certificate");
}

#[tokio::test]
async fn failures_are_one_line() {
    let session = Session::start();
    assert_eq!(session.fails("kubeconfig x").await, "cluster default/x is not registered");
    assert_eq!(
        session.fails("node add x n").await,
        "Workload Cluster does not exist: cluster default/x is not registered"
    );
    for (line, code) in [("fault x none --per-mille 5", 2), ("fault x none", 1)] {
        assert_eq!(session.run(line).await.unwrap_err().code(), code, "{line}");
    }
}
