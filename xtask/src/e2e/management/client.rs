//! The management cluster's API: by `kubectl` for what a user would type, and by plain HTTP
//! through `kubectl proxy` for what a test does hundreds of times.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::process::{Process, free_port};
use crate::e2e::http::{Answer, Connection};

/// How long the proxy may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The type of a patch that says what to change.
const MERGE: &str = "application/merge-patch+json";

/// `kubectl` with one kubeconfig.
#[derive(Clone, Debug)]
pub(in crate::e2e) struct Kubectl {
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// With this kubeconfig; what it caches goes to `folder`.
    pub(in crate::e2e) fn new(kubeconfig: &Path, folder: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), cache: folder.join("kubectl-cache") }
    }

    /// Runs it; what it prints.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub(in crate::e2e) fn run(&self, args: &[&str]) -> Result<String> {
        self.feed(args, b"")
    }

    /// Applies objects as their only owner, by the server.
    ///
    /// # Errors
    /// When one of them is refused.
    pub(in crate::e2e) fn apply(&self, objects: &[u8]) -> Result<()> {
        let args =
            ["apply", "--server-side", "--force-conflicts", "--filename", "-", "--output", "name"];
        self.feed(&args, objects).map(drop)
    }

    /// Creates objects.
    ///
    /// # Errors
    /// When one of them is refused.
    pub(in crate::e2e) fn create(&self, objects: &[u8]) -> Result<()> {
        self.feed(&["create", "--filename", "-", "--output", "name"], objects).map(drop)
    }

    fn feed(&self, args: &[&str], input: &[u8]) -> Result<String> {
        let mut child = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("kubectl could not be run")?;
        // kubectl reads all input before it prints, so the pipes cannot fill each other.
        let fed = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
        let output = child.wait_with_output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", args.join(" "), told.trim());
        fed?;
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Starts `kubectl proxy`, which speaks plain HTTP for the user of `kubeconfig`.
pub(super) fn proxy(kubeconfig: &Path, folder: &Path) -> Result<(Process, SocketAddr)> {
    let address = free_port()?;
    let mut proxy = Process::start("kubectl-proxy", Path::new("kubectl"), folder, |kubectl| {
        kubectl.arg("--kubeconfig").arg(kubeconfig).args([
            "proxy",
            "--address",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
        ]);
    })?;
    proxy.wait(PATIENCE, || Connection::open(address)?.request("GET", "/readyz", "").map(drop))?;
    Ok((proxy, address))
}

/// A client of one API server. Paths are those of the API, from `/api` or `/apis` on.
#[derive(Debug)]
pub(in crate::e2e) struct Api {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Api {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Another client of the same server, with a connection of its own.
    pub(in crate::e2e) fn again(&self) -> Self {
        Self::new(self.address)
    }

    /// An object, if it is there.
    ///
    /// # Errors
    /// When the answer is anything else.
    pub(in crate::e2e) fn find(&mut self, path: &str) -> Result<Option<Value>> {
        let answer = self.send("GET", path, "", "")?;
        if answer.status == 404 { Ok(None) } else { object("GET", path, &answer).map(Some) }
    }

    /// An object that is there.
    ///
    /// # Errors
    /// When it is not.
    pub(in crate::e2e) fn get(&mut self, path: &str) -> Result<Value> {
        object("GET", path, &self.send("GET", path, "", "")?)
    }

    /// The objects of a collection.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(in crate::e2e) fn list(&mut self, path: &str) -> Result<Vec<Value>> {
        match self.get(path)?["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("GET {path} is answered with {other} for items"),
        }
    }

    /// Creates an object in a collection.
    ///
    /// # Errors
    /// When it is refused.
    pub(in crate::e2e) fn create(&mut self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send("POST", path, "application/json", &body.to_string())?;
        object("POST", path, &answer)
    }

    /// Changes an object by a merge patch.
    ///
    /// # Errors
    /// When it is refused or there is none.
    pub(in crate::e2e) fn patch(&mut self, path: &str, change: &Value) -> Result<Value> {
        object("PATCH", path, &self.send("PATCH", path, MERGE, &change.to_string())?)
    }

    /// Deletes an object; whether there was one.
    ///
    /// # Errors
    /// When it is refused.
    pub(in crate::e2e) fn delete(&mut self, path: &str) -> Result<bool> {
        let answer = self.send("DELETE", path, "", "")?;
        if answer.status == 404 {
            return Ok(false);
        }
        object("DELETE", path, &answer).map(|_| true)
    }

    /// Sends a request over the connection that is open, or a new one where the peer has ended it.
    fn send(&mut self, method: &str, path: &str, content: &str, body: &str) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.ended() => connection,
            _ => Connection::open(self.address)?,
        };
        let answer = connection.send(method, path, content, body)?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

fn object(method: &str, path: &str, answer: &Answer) -> Result<Value> {
    ensure!(
        answer.succeeded(),
        "{method} {path} is answered with {}: {}",
        answer.status,
        answer.body.trim()
    );
    serde_json::from_str(&answer.body).with_context(|| format!("{method} {path}"))
}
