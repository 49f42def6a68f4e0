//! `cargo xtask e2e etcd`: one script of etcd's own client, against real members and fake ones.
//!
//! What the two print must be the same, but for what is listed here with its reason. The real
//! members are built from etcd's module and run on loopback; the fake ones are reached as
//! KubeadmControlPlane reaches them, by port-forward to their pods and with a client certificate
//! of the cluster's etcd CA.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use serde_json::Value;

use super::http::Connection;
use super::management::{GoModule, Program as GoProgram};
use super::program::Program;
use crate::tally::Tally;
use crate::workspace::{Profile, build_program, has, root, target};

/// The members of each cluster; the first one leads.
const MEMBERS: [&str; 3] = ["cp-0", "cp-1", "cp-2"];

/// The real thing, pinned with the other programs of Cluster API's test.
const ETCD: GoProgram =
    GoProgram { name: "etcd", package: "go.etcd.io/etcd/server/v3", variables: &[] };

/// How long members may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// For how long members must have seen each other before etcd changes who they are.
const ACQUAINTED: Duration = Duration::from_secs(7);

/// What differs on purpose: what the line begins with, and why.
const DIFFERENCES: [(&str, &str); 1] =
    [("write ", "what etcd holds is what the API server was told, and nobody else may change it")];

/// Options of `cargo xtask e2e etcd`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Use the program as it is released
    #[arg(long)]
    release: bool,
}

/// A process that is killed with its owner, and its output as long as it is to write there.
struct Killed(Child, Option<BufReader<ChildStdout>>);

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Members that listen, and how a client is trusted by them.
struct Members {
    processes: Vec<Killed>,
    addresses: Vec<SocketAddr>,
    authority: Option<(PathBuf, PathBuf)>,
}

/// Which part of the script is run.
#[derive(Clone, Copy)]
enum Part {
    /// All members are there.
    All,
    /// Only the first one is left.
    Alone,
}

/// Runs the script against both and compares.
///
/// # Errors
/// When one of them cannot be built or started.
pub(super) fn run(args: &Args) -> Result<Tally> {
    let missing: Vec<_> =
        ["go", "kubectl", "setpriv"].into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        println!("SKIP e2e etcd: not on the path: {}", missing.join(", "));
        return Ok(Tally::one_skipped());
    }
    if let Err(why) = GoModule::new(root().join("tests/clients/capi")).build(&[ETCD])? {
        println!("SKIP e2e etcd: {why}");
        return Ok(Tally::one_skipped());
    }
    let script = build_script()?;
    let profile = if args.release { Profile::Release } else { Profile::Debug };
    let program = build_program(profile)?;
    let folder = target().join("e2e/etcd");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let program = Program::start(&program, &folder)?;
    let mut tally = Tally::default();
    for (part, name) in [(Part::All, "all"), (Part::Alone, "alone")] {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let control = program.control();
        // They know nothing of each other, and most of the time both only wait.
        let (real, fake) = thread::scope(|scope| {
            let real = scope.spawn(|| {
                ask(start_real(&folder)?, &script, part, |members| {
                    members.processes.truncate(1);
                    thread::sleep(ACQUAINTED);
                    Ok(())
                })
            });
            let fake = start_fake(&folder, control, name)
                .and_then(|fake| ask(fake, &script, part, |_| lose(control, name)));
            (real.join(), fake)
        });
        let Ok(real) = real else { bail!("the thread of the real members ended in a panic") };
        let (real, fake) = (real?, fake?);
        fs::write(folder.join("real.txt"), &real)?;
        fs::write(folder.join("fake.txt"), &fake)?;
        tally += compare(&real, &fake);
    }
    if tally.failed > 0 {
        println!("the end of the program's log:\n{}", program.log_tail());
    }
    program.stop()?;
    Ok(tally)
}

fn build_script() -> Result<PathBuf> {
    let binary = GoModule::binaries().join("etcd-script");
    let status = Command::new("go")
        .args(["build", "-mod=readonly", "-o"])
        .arg(&binary)
        .arg(".")
        .env("CGO_ENABLED", "0")
        .current_dir(root().join("tests/clients/etcd"))
        .status()
        .context("go could not be run")?;
    ensure!(status.success(), "the script was not built: go ended with {status}");
    Ok(binary)
}

/// Runs a part of the script; `lose` takes all members but the first away.
fn ask(
    mut members: Members,
    script: &Path,
    part: Part,
    lose: impl FnOnce(&mut Members) -> Result<()>,
) -> Result<String> {
    let mut command = Command::new(script);
    if let Some((certificate, key)) = &members.authority {
        command.arg("-ca").arg(certificate).arg("-ca-key").arg(key);
    }
    if let Part::Alone = part {
        command.arg("-alone");
    }
    for (name, address) in MEMBERS.iter().zip(&members.addresses) {
        command.arg(format!("{name}={address}"));
    }
    // The client tells of every error that it is told.
    command.stderr(Stdio::null()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().context("the script could not be run")?, None);
    let output = child.0.stdout.take().context("the script has an output")?;
    let mut printed = String::new();
    let mut lines = BufReader::new(output);
    if let Part::Alone = part {
        // It says when it knows the members, and waits until the others are gone.
        lines.read_line(&mut printed)?;
        lose(&mut members)?;
    }
    drop(child.0.stdin.take());
    while lines.read_line(&mut printed)? > 0 {}
    let status = child.0.wait()?;
    ensure!(status.success(), "the script ended with {status}:\n{printed}");
    Ok(printed)
}

/// Starts real members.
fn start_real(folder: &Path) -> Result<Members> {
    let free = || -> Result<SocketAddr> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?) };
    let places: Vec<(&str, SocketAddr, SocketAddr)> =
        MEMBERS.iter().map(|name| Ok((*name, free()?, free()?))).collect::<Result<_>>()?;
    let cluster: Vec<String> =
        places.iter().map(|(name, _, peer)| format!("{name}=http://{peer}")).collect();
    let mut members = Members { processes: Vec::new(), addresses: Vec::new(), authority: None };
    for (name, client, peer) in places {
        let log = fs::File::create(folder.join(format!("{name}.log")))?;
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let child = killed_with_us(&GoModule::binaries().join(ETCD.name))
            .args(["--name", name, "--log-level", "warn", "--data-dir"])
            .arg(folder.join(name))
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("etcd could not be run")?;
        members.processes.push(Killed(child, None));
        members.addresses.push(client);
    }
    let until = Instant::now() + PATIENCE;
    for address in &members.addresses {
        while TcpStream::connect(address).is_err() {
            ensure!(Instant::now() < until, "a member does not listen: {}", folder.display());
            thread::sleep(Duration::from_millis(100));
        }
    }
    thread::sleep(ACQUAINTED);
    Ok(members)
}

/// A program that the kernel ends with this thread.
fn killed_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
    command
}

/// Registers a cluster, and forwards a port to each of its etcd pods.
fn start_fake(folder: &Path, control: SocketAddr, name: &str) -> Result<Members> {
    let mut http = Connection::open(control)?;
    let cluster = format!(r#""namespace":"etcd","cluster":"{name}""#);
    http.request("POST", "/register", &format!("{{{cluster}}}"))?;
    for node in MEMBERS {
        let body = format!(
            r#"{{{cluster},"nodeName":"{node}","labels":{{"cluster.x-k8s.io/control-plane":""}}}}"#
        );
        http.request("PUT", "/updateNode", &body)?;
    }
    let kubeconfig = folder.join("kubeconfig");
    fs::write(&kubeconfig, http.request("GET", &format!("/kubeconfig?resource=etcd/{name}"), "")?)?;
    let secrets = http.request("GET", &format!("/secrets?resource=etcd/{name}"), "")?;
    let authority = authority(folder, &secrets, &format!("{name}-etcd"))?;
    let mut members =
        Members { processes: Vec::new(), addresses: Vec::new(), authority: Some(authority) };
    for node in MEMBERS {
        let log = fs::File::create(folder.join(format!("forward-{node}.log")))?;
        let child = killed_with_us(Path::new("kubectl"))
            .args(["port-forward", "--namespace", "kube-system", "--kubeconfig"])
            .arg(&kubeconfig)
            .args([&format!("pod/etcd-{node}"), ":2379"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("kubectl could not be run")?;
        let mut child = Killed(child, None);
        let mut line = String::new();
        let output = child.0.stdout.take().context("kubectl has an output")?;
        child.1.insert(BufReader::new(output)).read_line(&mut line)?;
        let address = line
            .strip_prefix("Forwarding from ")
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .with_context(|| format!("kubectl forwards nothing: {line:?}"))?;
        members.processes.push(child);
        members.addresses.push(address);
    }
    Ok(members)
}

/// Writes the certificate and the key of a Secret into files.
fn authority(folder: &Path, secrets: &str, name: &str) -> Result<(PathBuf, PathBuf)> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(secrets)?;
    let secret = documents.iter().find(|secret| secret["metadata"]["name"] == name);
    let secret = secret.with_context(|| format!("there is no Secret {name}"))?;
    let write = |field: &str| -> Result<PathBuf> {
        let text = secret["data"][field].as_str().with_context(|| format!("no {field}"))?;
        let path = folder.join(field);
        fs::write(&path, base64::engine::general_purpose::STANDARD.decode(text)?)?;
        Ok(path)
    };
    Ok((write("tls.crt")?, write("tls.key")?))
}

/// Lets all members of a fake cluster but the first be lost.
fn lose(control: SocketAddr, name: &str) -> Result<()> {
    let mut http = Connection::open(control)?;
    for node in &MEMBERS[1..] {
        let path = format!("/memberHealth?resource=etcd/{name}&nodeName={node}");
        http.request("PUT", &path, r#"{"health":"lost"}"#)?;
    }
    Ok(())
}

/// Compares line by line; each is a check.
fn compare(real: &str, fake: &str) -> Tally {
    let mut tally = Tally::default();
    let (mut real, mut fake) = (real.lines(), fake.lines());
    loop {
        let (real, fake) = (real.next(), fake.next());
        if real.is_none() && fake.is_none() {
            return tally;
        }
        let step = real.or(fake).unwrap_or_default();
        let known = DIFFERENCES.iter().find(|(line, _)| step.starts_with(line));
        match known {
            _ if real == fake => {}
            Some((line, why)) => println!("differs on purpose: {line}: {why}"),
            None => println!(
                "FAIL real: {}\n     fake: {}",
                real.unwrap_or("nothing"),
                fake.unwrap_or("nothing")
            ),
        }
        tally += Tally::one(real == fake || known.is_some());
    }
}
