//! A management cluster says with which authorities clusters are made: another fakeapi cluster,
//! which is a Kubernetes API server too.

use fakeapi_tests::control::CONTROL_PLANE;
use fakeapi_tests::openssl::{Authority, KeyForm};
use fakeapi_tests::{Program, Session, Setup};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

/// A program that asks a cluster of another one.
struct Managed {
    management: Program,
    secrets: Session,
    program: Program,
}

async fn managed() -> Managed {
    let management = Program::start(&[]).await.unwrap();
    management.control().register("management").await.unwrap();
    let setup = Setup::new().unwrap();
    let file = setup.home().join("management.kubeconfig");
    std::fs::write(&file, management.control().kubeconfig("management").await.unwrap()).unwrap();
    let program = setup.args(["--kubeconfig", file.to_str().unwrap()]).start().await.unwrap();
    let secrets = management.access("management").await.unwrap().connect().await.unwrap();
    Managed { management, secrets, program }
}

impl Managed {
    async fn secret(&self, name: &str, authority: &Authority) {
        self.write(
            name,
            &json!({
                "tls.crt": authority.certificate_base64(), "tls.key": authority.key_base64(),
            }),
        )
        .await;
    }

    async fn write(&self, name: &str, data: &Value) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "cluster.x-k8s.io/secret",
            "metadata": {"name": name}, "data": data,
        });
        self.secrets.post(SECRETS, &secret).await.unwrap().good().unwrap();
    }

    async fn control_plane(&self, cluster: &str) -> fakeapi_tests::Answer {
        let labels = json!({"labels": {CONTROL_PLANE: ""}});
        self.program.control().try_node(cluster, "n0", &labels).await.unwrap()
    }
}

fn authority(name: &str) -> Authority {
    Authority::make(KeyForm::RsaPkcs1, name).unwrap()
}

fn der(authority: &Authority) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()
}

#[tokio::test]
async fn authorities_come_from_the_management_cluster() {
    let managed = managed().await;
    let (ca, etcd) = (authority("ca"), authority("etcd"));
    managed.secret("c-ca", &ca).await;
    managed.secret("c-etcd", &etcd).await;
    managed.program.control().register("c").await.unwrap();
    let answer = managed.control_plane("c").await;
    assert_eq!(answer.status, 200, "{answer}");
    let access = managed.program.access("c").await.unwrap();
    assert_eq!(access.ca, der(&ca));
    let session = access.connect().await.unwrap();
    assert_eq!(session.get("/api/v1/nodes/n0").await.unwrap().status, 200);
    let secrets = managed.program.control().get("/secrets?resource=default/c").await.unwrap();
    assert!(secrets.text().contains(&etcd.certificate_base64()), "{secrets}");
}

#[tokio::test]
async fn a_cluster_waits_for_its_secrets() {
    let managed = managed().await;
    let control = *managed.program.control();
    let at = control.register("c").await.unwrap();
    let before = managed.program.access("c").await.unwrap();
    let early = managed.control_plane("c").await;
    assert_eq!((early.status, early.text().as_str()), (500, "Error adding node: n0\n"));
    let cause = early.headers["x-fakeapi-cause"].to_str().unwrap();
    assert!(cause.contains("c-ca"), "{cause}");
    let (ca, etcd) = (authority("ca"), authority("etcd"));
    managed.secret("c-ca", &ca).await;
    let half = managed.control_plane("c").await;
    assert_eq!(half.text(), "Error adding node: n0\n");
    let cause = half.headers["x-fakeapi-cause"].to_str().unwrap();
    assert!(cause.contains("c-etcd"), "{cause}");
    managed.secret("c-etcd", &etcd).await;
    let good = managed.control_plane("c").await;
    assert_eq!(good.status, 200, "{good}");

    // The stand-in vouches for nobody any more.
    let access = managed.program.access("c").await.unwrap();
    assert_eq!((access.address, &access.ca), (at, &der(&ca)));
    before.connect().await.unwrap_err();
    let session = access.connect().await.unwrap();
    let stranger = access.as_client_of(&before).connect().await.unwrap();
    assert_eq!(stranger.get("/api/v1/nodes").await.unwrap().status, 401);
    assert_eq!(session.get("/api/v1/nodes/n0").await.unwrap().status, 200);

    // And so it stays, also when the management cluster is gone.
    let Managed { management, program, .. } = managed;
    let setup = program.kill().unwrap();
    management.kill().unwrap();
    let program = setup.start().await.unwrap();
    let after = program.access("c").await.unwrap();
    assert_eq!((after.address, &after.ca), (at, &der(&ca)));
    let session = after.connect().await.unwrap();
    assert_eq!(session.get("/api/v1/nodes/n0").await.unwrap().status, 200);
}

#[tokio::test]
async fn secrets_that_cannot_be_used_are_told() {
    let managed = managed().await;
    let good = authority("ca");
    for (cluster, ca, etcd, text) in [
        ("noca", json!({"tls.crt": "bm8="}), None, "Error adding node: n0\n"),
        (
            "badca",
            json!({"tls.crt": "bm8=", "tls.key": "bm8="}),
            None,
            "Failed to add API server\n",
        ),
        (
            "badetcd",
            json!({"tls.crt": good.certificate_base64(), "tls.key": good.key_base64()}),
            Some(json!({"tls.crt": "bm8=", "tls.key": "bm8="})),
            "Failed to generate etcdKey\n",
        ),
    ] {
        managed.program.control().register(cluster).await.unwrap();
        managed.write(&format!("{cluster}-ca"), &ca).await;
        if let Some(etcd) = etcd {
            managed.write(&format!("{cluster}-etcd"), &etcd).await;
        }
        let answer = managed.control_plane(cluster).await;
        assert_eq!((answer.status, answer.text().as_str()), (500, text), "{cluster}: {answer}");
        assert!(answer.headers.contains_key("x-fakeapi-cause"), "{cluster}: {answer}");
    }
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_said_at_the_start() {
    let setup = Setup::new().unwrap().args(["--kubeconfig", "/nonexistent/kubeconfig"]);
    let refused = setup.start().await.unwrap_err().to_string();
    assert!(refused.contains("/nonexistent/kubeconfig"), "{refused}");
}
