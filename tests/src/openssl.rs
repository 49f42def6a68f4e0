//! Authorities as their users make them: by the `openssl` command, in every form of key.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The forms in which `openssl` writes a private key.
#[derive(Clone, Copy, Debug)]
pub enum KeyForm {
    /// `BEGIN RSA PRIVATE KEY`.
    RsaPkcs1,
    /// `BEGIN PRIVATE KEY`.
    RsaPkcs8,
    /// `BEGIN EC PRIVATE KEY`.
    EcSec1,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When `openssl` is not there or fails.
    pub fn make(form: KeyForm, common_name: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let key_file = directory.path().join("key");
        let key = key_file.to_str().context("the path is not text")?;
        match form {
            KeyForm::RsaPkcs1 => run(&["genrsa", "-traditional", "-out", key, "2048"])?,
            KeyForm::RsaPkcs8 => run(&["genrsa", "-out", key, "2048"])?,
            KeyForm::EcSec1 => {
                run(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key])?
            }
        };
        let certificate = run(&[
            "req",
            "-x509",
            "-new",
            "-key",
            key,
            "-days",
            "30",
            "-subj",
            &format!("/CN={common_name}"),
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
        ])?;
        Ok(Self { certificate, key: read(&key_file)? })
    }

    /// The certificate in base64, as the control endpoint takes it.
    pub fn certificate_base64(&self) -> String {
        STANDARD.encode(&self.certificate)
    }

    /// The key in base64.
    pub fn key_base64(&self) -> String {
        STANDARD.encode(&self.key)
    }
}

fn read(path: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(path)?)
}

fn run(args: &[&str]) -> Result<String> {
    let output = Command::new("openssl").args(args).output().context("openssl cannot be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl {args:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}
