//! What a cluster's clients see.

use fakeapi_tests::{Access, Program};
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

async fn program_with(clusters: &[&str]) -> Program {
    let program = Program::start(&[]).await.unwrap();
    for name in clusters {
        program.control().register(name).await.unwrap();
    }
    program
}

fn status(answer: &fakeapi_tests::Answer, code: u16, reason: &str) -> String {
    assert_eq!(answer.status, code, "{answer}");
    let status = answer.json().unwrap();
    assert_eq!(status["kind"], "Status", "{answer}");
    assert_eq!(status["reason"], reason, "{answer}");
    assert_eq!(status["code"], code, "{answer}");
    status["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn each_cluster_shows_its_own_certificate() {
    let program = program_with(&["a", "b"]).await;
    let (a, b) = (program.access("a").await.unwrap(), program.access("b").await.unwrap());
    assert_ne!(a.ca, b.ca);
    for access in [&a, &b] {
        let session = access.connect().await.unwrap();
        let (_, certificate) = X509Certificate::from_der(session.certificate()).unwrap();
        let names: Vec<&str> =
            certificate.subject().iter_common_name().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(names, ["kube-apiserver"]);
        let alternatives = certificate.subject_alternative_name().unwrap().unwrap();
        let std::net::IpAddr::V4(ip) = access.address.ip() else { panic!("not IPv4") };
        let octets = ip.octets();
        let names = &alternatives.value.general_names;
        assert!(names.contains(&GeneralName::IPAddress(&octets)), "{names:?}");
        assert!(names.contains(&GeneralName::DNSName("kubernetes.default.svc")), "{names:?}");
    }
    // The CA of another cluster does not vouch for it.
    let mut crossed = a.clone();
    crossed.ca = b.ca.clone();
    crossed.connect().await.unwrap_err();
}

#[tokio::test]
async fn both_versions_of_http_answer_alike() {
    let program = program_with(&["c"]).await;
    let access = program.access("c").await.unwrap();
    let mut bodies = Vec::new();
    for access in [access.clone(), access.http1()] {
        let session = access.connect().await.unwrap();
        for path in ["/api/v1/namespaces/default", "/version", "/apis", "/nothing"] {
            bodies.push(session.get(path).await.unwrap().text());
        }
        bodies.push(session.is_h2().to_string());
    }
    let (h2, h1) = bodies.split_at(5);
    assert_eq!(h2[..4], h1[..4]);
    assert_eq!((h2[4].as_str(), h1[4].as_str()), ("true", "false"));
}

#[tokio::test]
async fn who_is_not_known_may_not() {
    let program = program_with(&["a", "b"]).await;
    let (a, b) = (program.access("a").await.unwrap(), program.access("b").await.unwrap());
    for (a, b) in [(a.clone(), b.clone()), (a.http1(), b.http1())] {
        let stranger = a.as_client_of(&b).connect().await.unwrap();
        let message = status(&stranger.get("/api/v1/nodes").await.unwrap(), 401, "Unauthorized");
        assert_eq!(message, "Unauthorized");

        let nobody = a.anonymous().connect().await.unwrap();
        let message = status(&nobody.get("/api/v1/nodes").await.unwrap(), 403, "Forbidden");
        let expected = "nodes is forbidden: User \"system:anonymous\" cannot list resource \
                        \"nodes\" in API group \"\" at the cluster scope";
        assert_eq!(message, expected);
        assert_eq!(nobody.get("/version").await.unwrap().status, 200);

        let wrong = a.anonymous().connect().await.unwrap().with_token("abcdef.0123456789abcdef");
        status(&wrong.get("/version").await.unwrap(), 401, "Unauthorized");
    }
}

#[tokio::test]
async fn the_door_can_be_left_open() {
    let program = Program::start(&["--anonymous-admin"]).await.unwrap();
    program.control().register("a").await.unwrap();
    program.control().register("b").await.unwrap();
    let (a, b) = (program.access("a").await.unwrap(), program.access("b").await.unwrap());
    for access in [a.anonymous(), a.as_client_of(&b)] {
        let session = access.connect().await.unwrap();
        session.get("/api/v1/secrets").await.unwrap().good().unwrap();
    }
    let session = a.anonymous().connect().await.unwrap().with_token("no.token");
    session.get("/api/v1/secrets").await.unwrap().good().unwrap();
}

fn bootstrap_token(more: &Value) -> Value {
    let mut data = json!({
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token,system:masters",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        data[key] = value.clone();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    })
}

const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

#[tokio::test]
async fn a_bootstrap_token_is_known_with_its_groups() {
    let program = program_with(&["c"]).await;
    let access = program.access("c").await.unwrap();
    let admin = access.connect().await.unwrap();
    admin.post(SECRETS, &bootstrap_token(&Value::Null)).await.unwrap().good().unwrap();
    let node = access.anonymous().connect().await.unwrap().with_token("abcdef.0123456789abcdef");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let who = node.post(path, &review).await.unwrap().good().unwrap();
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], "system:bootstrap:abcdef");
    let groups: Vec<&str> =
        user["groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
    assert!(groups.contains(&"system:bootstrappers"), "{groups:?}");
    assert!(groups.contains(&"system:bootstrappers:kubeadm:default-node-token"), "{groups:?}");
    assert!(groups.contains(&"system:authenticated"), "{groups:?}");
    assert!(!groups.contains(&"system:masters"), "a token makes no administrator: {groups:?}");
    let secrets = node.get(SECRETS).await.unwrap();
    let message = status(&secrets, 403, "Forbidden");
    assert!(message.contains("\"system:bootstrap:abcdef\" cannot list"), "{message}");

    let wrong = access.anonymous().connect().await.unwrap().with_token("abcdef.0123456789abcdee");
    status(&wrong.get("/version").await.unwrap(), 401, "Unauthorized");
}

#[tokio::test]
async fn a_token_that_has_ended_or_is_not_for_this_is_refused() {
    let program = program_with(&["c"]).await;
    let access = program.access("c").await.unwrap();
    let admin = access.connect().await.unwrap();
    for more in [
        json!({"expiration": "2020-01-01T00:00:00Z"}),
        json!({"usage-bootstrap-authentication": "false"}),
        json!({"token-id": "fedcba"}),
    ] {
        admin.post(SECRETS, &bootstrap_token(&more)).await.unwrap().good().unwrap();
        let session = access.anonymous().connect().await.unwrap();
        let node = session.with_token("abcdef.0123456789abcdef");
        status(&node.get("/version").await.unwrap(), 401, "Unauthorized");
        let path = format!("{SECRETS}/bootstrap-token-abcdef");
        admin.delete(&path).await.unwrap().good().unwrap();
    }
}

#[tokio::test]
async fn only_the_address_says_which_cluster() {
    let program = program_with(&["a", "b"]).await;
    let (a, b) = (program.access("a").await.unwrap(), program.access("b").await.unwrap());
    let uid = |access: Access| async move {
        let session = access.connect().await.unwrap();
        let answer = session.get("/api/v1/namespaces/kube-system").await.unwrap();
        answer.good().unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    let truth = uid(a.clone()).await;
    assert_ne!(truth, uid(b.clone()).await);
    for access in [a.asking_for("kubernetes"), a.asking_for("b.default.example"), a.http1()] {
        let session = access.connect().await.unwrap().claiming_host(&b.address.to_string());
        let answer = session.get("/api/v1/namespaces/kube-system").await.unwrap();
        assert_eq!(answer.good().unwrap()["metadata"]["uid"], truth.as_str());
    }
}

#[tokio::test]
async fn the_version_is_that_of_the_control_plane() {
    let program = program_with(&["c"]).await;
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    let more = json!({
        "labels": {"cluster.x-k8s.io/control-plane": ""}, "k8sversion": "v1.30.7",
    });
    let answer = program.control().try_node("c", "n0", &more).await.unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    let version = session.get("/version").await.unwrap().good().unwrap();
    assert_eq!(version["gitVersion"], "v1.30.7");
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("30")));
    let node = session.get("/api/v1/nodes/n0").await.unwrap().good().unwrap();
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.30.7");
}

#[tokio::test]
async fn two_programs_do_not_share_a_port() {
    let program = program_with(&["c"]).await;
    let refused = program.setup().rival().unwrap().start().await.unwrap_err().to_string();
    let said = refused.lines().find(|line| line.contains("fakeapi: ")).unwrap();
    let port = program.setup().slot().port().to_string();
    assert!(said.contains(&port) && said.contains("in use"), "{said}");
    let access = program.access("c").await.unwrap();
    for _ in 0..20 {
        let session = access.connect().await.unwrap();
        assert_eq!(session.get("/readyz").await.unwrap().status, 200);
    }
}
