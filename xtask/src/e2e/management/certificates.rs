//! Keys and certificates of the management cluster, by `openssl`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// How long certificates hold, in days: longer than any run.
const DAYS: &str = "30";

/// An authority and what it has signed, in a folder.
#[derive(Debug)]
pub(in crate::e2e) struct Authority {
    folder: PathBuf,
}

/// A certificate and its key, both PEM files.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When `openssl` cannot be run or refuses.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let authority = Self { folder: folder.to_owned() };
        let pair = authority.pair("ca");
        request(&pair, "/CN=management", |openssl| {
            openssl.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        })?;
        Ok(authority)
    }

    /// Its own certificate.
    pub(super) fn certificate(&self) -> PathBuf {
        self.pair("ca").certificate
    }

    /// Its own certificate and key.
    pub(super) fn own(&self) -> Pair {
        self.pair("ca")
    }

    /// A certificate for a server on 127.0.0.1, named `NAME.crt` and `NAME.key`.
    ///
    /// # Errors
    /// When `openssl` refuses.
    pub(super) fn server(&self, name: &str) -> Result<Pair> {
        self.sign(name, &format!("/CN={}", name.replace('/', "-")), "serverAuth")
    }

    /// A kubeconfig of the user `name` in `groups`, kept beside the keys.
    ///
    /// # Errors
    /// When `openssl` refuses or the file cannot be written.
    pub(super) fn kubeconfig(
        &self,
        name: &str,
        groups: &[&str],
        server: SocketAddr,
    ) -> Result<PathBuf> {
        let organizations: Vec<String> = groups.iter().map(|group| format!("/O={group}")).collect();
        let file = name.replace([':', '/'], "-");
        let pair =
            self.sign(&file, &format!("{}/CN={name}", organizations.concat()), "clientAuth")?;
        let user = json!({"client-certificate": pair.certificate, "client-key": pair.key});
        self.write_kubeconfig(&file, &user, server)
    }

    /// A kubeconfig of whoever `token` stands for.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn kubeconfig_by_token(
        &self,
        name: &str,
        token: &str,
        server: SocketAddr,
    ) -> Result<PathBuf> {
        self.write_kubeconfig(name, &json!({"token": token}), server)
    }

    fn write_kubeconfig(&self, name: &str, user: &Value, server: SocketAddr) -> Result<PathBuf> {
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "management", "cluster": {
                "server": format!("https://{server}"),
                "certificate-authority": self.certificate(),
            }}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "management", "context": {"cluster": "management", "user": "user"}}],
            "current-context": "management",
        });
        let path = self.folder.join(format!("{name}.kubeconfig"));
        fs::write(&path, serde_json::to_vec_pretty(&kubeconfig)?)?;
        Ok(path)
    }

    fn sign(&self, name: &str, subject: &str, usage: &str) -> Result<Pair> {
        let pair = self.pair(name);
        if let Some(folder) = pair.key.parent() {
            fs::create_dir_all(folder)?;
        }
        let Pair { certificate, key } = self.own();
        request(&pair, subject, |openssl| {
            openssl
                .arg("-CA")
                .arg(certificate)
                .arg("-CAkey")
                .arg(key)
                .args(["-addext", "basicConstraints=critical,CA:FALSE"])
                .args(["-addext", &format!("extendedKeyUsage={usage}")])
                .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
        })?;
        Ok(pair)
    }

    fn pair(&self, name: &str) -> Pair {
        Pair {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
        }
    }
}

/// Makes a key and a certificate for it.
fn request(pair: &Pair, subject: &str, adapt: impl FnOnce(&mut Command)) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", DAYS, "-subj", subject])
        .arg("-keyout")
        .arg(&pair.key)
        .arg("-out")
        .arg(&pair.certificate);
    adapt(&mut openssl);
    let output = openssl.output().context("openssl could not be run")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl made no certificate for {subject}: {told}");
    Ok(())
}
