//! Rules of behaviour, as clients of the clusters see them.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use fakeapi_tests::control::CONTROL_PLANE;
use fakeapi_tests::{Access, Control, Program, Session, Setup};
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use x509_parser::prelude::{FromDer, X509Certificate};

const NODES: &str = "/api/v1/nodes";
const SOON: Duration = Duration::from_secs(10);

async fn put(control: &Control, name: &str, rule: &Value) -> Value {
    let path = format!("/behaviour/{name}");
    control.json(Method::PUT, &path, rule).await.unwrap().good().unwrap()
}

async fn delete(control: &Control, name: &str) {
    let path = format!("/behaviour/{name}");
    let answer = control.send(Method::DELETE, &path, "").await.unwrap();
    assert_eq!(answer.status, 200, "{answer}");
}

async fn effects(control: &Control, name: &str) -> Value {
    let report = control.get(&format!("/behaviour/{name}")).await.unwrap().good().unwrap();
    report["status"].clone()
}

async fn clusters(names: &[&str]) -> (Program, Vec<Access>) {
    let program = Program::start(&[]).await.unwrap();
    let mut access = Vec::new();
    for name in names {
        program.control().register(name).await.unwrap();
        program.control().control_plane(name, "cp0").await.unwrap();
        access.push(program.access(name).await.unwrap());
    }
    (program, access)
}

/// How long a request takes; it goes well.
async fn took(session: &Session, path: &str) -> Duration {
    let began = Instant::now();
    session.get(path).await.unwrap().good().unwrap();
    began.elapsed()
}

#[tokio::test]
async fn requests_of_the_chosen_clusters_take_longer() {
    let (program, access) = clusters(&["slow", "quick"]).await;
    let slow = access[0].connect().await.unwrap();
    let quick = access[1].connect().await.unwrap();
    let rule = json!({
        "selector": {"namespaces": ["def*"], "names": ["slow"]},
        "apiServer": {"latency": {"mean": "700ms", "requests": {"resources": ["nodes"]}}},
    });
    let report = put(program.control(), "late", &rule).await;
    assert_eq!(report["status"]["clusters"], 1);
    let late = Duration::from_millis(700);
    assert!(took(&slow, NODES).await >= late);
    // A watch begins late; its events do not come late.
    let began = Instant::now();
    let mut watch = slow.watch(&format!("{NODES}?watch=1")).await.unwrap();
    watch.expect("ADDED").await.unwrap();
    assert!(began.elapsed() >= late);
    // Side by side they all wait, and do not wait for each other.
    let began = Instant::now();
    let all = (0..20).map(|_| slow.get(NODES));
    for answer in futures::future::join_all(all).await {
        answer.unwrap().good().unwrap();
    }
    assert!(began.elapsed() < late * 5, "{:?}", began.elapsed());
    assert!(took(&quick, NODES).await < late);
    assert!(took(&slow, "/version").await < late);
    assert_eq!(effects(program.control(), "late").await["effects"]["latency"], 22);
    delete(program.control(), "late").await;
    assert!(took(&slow, NODES).await < late);
    assert_eq!(program.control().get("/behaviour/late").await.unwrap().status, 404);
}

/// The answers' codes to so many requests.
async fn codes(session: &Session, path: &str, count: usize) -> Vec<u16> {
    let mut codes = Vec::new();
    for _ in 0..count {
        codes.push(session.get(path).await.unwrap().status);
    }
    codes
}

#[tokio::test]
async fn errors_are_those_that_the_seed_says() {
    let (program, access) = clusters(&["c"]).await;
    let session = access[0].connect().await.unwrap();
    let rule = |seed: u64| {
        json!({"seed": seed, "apiServer": {"errors": [
            {"requests": {"verbs": ["list"], "resources": ["nodes"]}, "rate": 0.25, "code": 503},
            {"requests": {"verbs": ["create"]}, "code": 429, "message": "not now",
             "retryAfter": "3s"},
        ]}})
    };
    put(program.control(), "err", &rule(1)).await;
    let first = codes(&session, NODES, 200).await;
    let failed = first.iter().filter(|code| **code == 503).count();
    assert!((30..70).contains(&failed), "{failed}");
    assert!(first.iter().all(|code| [200, 503].contains(code)));
    put(program.control(), "err", &rule(1)).await;
    assert_eq!(codes(&session, NODES, 200).await, first, "the same seed, the same errors");
    put(program.control(), "err", &rule(2)).await;
    assert_ne!(codes(&session, NODES, 200).await, first);

    let map = json!({"metadata": {"name": "m"}});
    let path = "/api/v1/namespaces/default/configmaps";
    let refused = session.post(path, &map).await.unwrap();
    assert_eq!((refused.status, refused.headers["retry-after"].as_bytes()), (429, &b"3"[..]));
    let status = refused.json().unwrap();
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["apiVersion"], "v1");
    assert_eq!(status["status"], "Failure");
    assert_eq!(
        (&status["reason"], &status["message"]),
        (&json!("TooManyRequests"), &json!("not now"))
    );
    assert_eq!(status["details"]["retryAfterSeconds"], 3);
    assert_eq!(session.get(&format!("{path}/m")).await.unwrap().status, 404, "nothing was made");
    delete(program.control(), "err").await;
    session.post(path, &map).await.unwrap().good().unwrap();
}

/// What a new connection to a cluster meets.
async fn meets(access: &Access) -> String {
    match timeout(Duration::from_secs(2), access.tls()).await {
        Ok(Ok(_)) => "tls".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "silence".to_owned(),
    }
}

/// Whether a connection that is open has come to its end.
async fn ended(session: &Session) -> bool {
    let ended = async {
        while session.get("/version").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, ended).await.is_ok()
}

async fn outage(control: &Control, kind: &str) {
    let rule = json!({"selector": {"names": ["c"]}, "apiServer": {"outage": {"kind": kind}}});
    put(control, "out", &rule).await;
}

#[tokio::test]
async fn an_outage_cuts_what_is_open_and_meets_what_comes() {
    let (program, access) = clusters(&["c", "other"]).await;
    let other = access[1].connect().await.unwrap();
    for (kind, looks) in [("refuse", "reset"), ("reset", "reset"), ("tlsFailure", "fatal alert")] {
        let session = access[0].connect().await.unwrap();
        let mut watch = session.watch(&format!("{NODES}?watch=1")).await.unwrap();
        watch.expect("ADDED").await.unwrap();
        outage(program.control(), kind).await;
        assert!(ended(&session).await, "{kind}: the open connection goes on");
        let seen = timeout(SOON, watch.next()).await.expect("the watch ends");
        assert!(!matches!(seen, Ok(Some(_))), "{kind}: {seen:?}");
        let met = meets(&access[0]).await;
        assert!(met.to_lowercase().contains(looks), "{kind}: {met}");
        other.get(NODES).await.unwrap().good().unwrap();
        delete(program.control(), "out").await;
        let session = access[0].connect().await.unwrap();
        session.get(NODES).await.unwrap().good().unwrap();
    }
    let metrics = program.control().get("/metrics").await.unwrap().text();
    assert!(metrics.contains("fakeapi_connections_cut_total{reason=\"outage\"} 3"), "{metrics}");
    assert!(
        metrics.contains("fakeapi_connections_refused_total{reason=\"outage\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_refused_connection_is_reset_and_not_closed() {
    let (program, access) = clusters(&["c"]).await;
    outage(program.control(), "refuse").await;
    let met = TcpStream::connect(access[0].address).await;
    let kind = match met {
        Ok(mut tcp) => tcp.read(&mut [0]).await.expect_err("it is reset").kind(),
        Err(error) => error.kind(),
    };
    assert!([ErrorKind::ConnectionReset, ErrorKind::ConnectionRefused].contains(&kind), "{kind}");
    // One that is reset at its first bytes is there until then.
    outage(program.control(), "reset").await;
    let mut tcp = TcpStream::connect(access[0].address).await.unwrap();
    assert!(timeout(Duration::from_millis(300), tcp.read(&mut [0])).await.is_err());
    tcp.write_all(b"\x16\x03\x01").await.unwrap();
    let kind = timeout(SOON, tcp.read(&mut [0])).await.unwrap().unwrap_err().kind();
    assert_eq!(kind, ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn who_hangs_answers_when_it_is_over() {
    let (program, access) = clusters(&["c"]).await;
    let session = access[0].connect().await.unwrap();
    outage(program.control(), "hang").await;
    assert_eq!(meets(&access[0]).await, "silence");
    let waits = session.clone();
    let mut asked = tokio::spawn(async move { waits.get(NODES).await });
    let new = access[0].clone();
    let connecting = tokio::spawn(async move { new.connect().await });
    assert!(timeout(Duration::from_secs(1), &mut asked).await.is_err(), "it does not hang");
    delete(program.control(), "out").await;
    timeout(SOON, asked).await.unwrap().unwrap().unwrap().good().unwrap();
    let session = timeout(SOON, connecting).await.unwrap().unwrap().unwrap();
    session.get(NODES).await.unwrap().good().unwrap();
}

#[tokio::test]
async fn who_is_unavailable_says_so() {
    let (program, access) = clusters(&["c"]).await;
    let before = access[0].connect().await.unwrap();
    let rule = json!({"apiServer": {"outage": {"kind": "unavailable", "for": "4s"}}});
    let began = Instant::now();
    put(program.control(), "out", &rule).await;
    assert!(ended(&before).await);
    let session = access[0].connect().await.unwrap();
    for path in ["/", "/livez", NODES] {
        let refused = session.get(path).await.unwrap();
        assert_eq!(refused.status, 503, "{path}: {refused}");
        let status = refused.json().unwrap();
        assert_eq!(
            (&status["kind"], &status["reason"]),
            (&json!("Status"), &json!("ServiceUnavailable"))
        );
        assert!(!refused.headers.contains_key("retry-after"), "Go's client would try again");
    }
    // The outage ends by itself, and the connection goes on.
    while session.get("/").await.unwrap().status != 200 {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(4));
    assert_eq!(effects(program.control(), "out").await["effects"]["outage"], 1);
}

/// When the certificate of a connection ends, in seconds since 1970.
fn not_after(session: &Session) -> i64 {
    let (_, certificate) = X509Certificate::from_der(session.certificate()).unwrap();
    certificate.validity().not_after.timestamp()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

#[tokio::test]
async fn certificates_end_when_the_rule_says() {
    let (program, access) = clusters(&["c"]).await;
    let year = not_after(&access[0].connect().await.unwrap());
    assert!(year > now() + 300 * 86_400);
    let rule = json!({"apiServer": {"certificate": {"expireAfter": "1h"}}});
    put(program.control(), "cert", &rule).await;
    let hour = not_after(&access[0].connect().await.unwrap());
    assert!((hour - now() - 3600).abs() < 60, "{hour}");
    let rule = json!({"apiServer": {"certificate": {"notAfter": "2020-01-01T00:00:00Z"}}});
    put(program.control(), "cert", &rule).await;
    let expired = format!("{:#}", access[0].connect().await.unwrap_err());
    assert!(expired.contains("certificate expired"), "{expired}");
    delete(program.control(), "cert").await;
    assert!(not_after(&access[0].connect().await.unwrap()) > now() + 300 * 86_400);
}

#[tokio::test]
async fn a_restart_keeps_rules_labels_and_booting_nodes() {
    let (program, access) = clusters(&["c"]).await;
    let control = program.control();
    let labels = json!({"labels": {"tier": "gold"}});
    assert_eq!(control.try_register("gold", &labels).await.unwrap().status, 200);
    let rule = json!({
        "seed": 9, "selector": {"matchLabels": {"tier": "gold"}},
        "apiServer": {"errors": [{"code": 500}]},
    });
    let before = put(control, "gold", &rule).await;
    assert_eq!(before["status"]["clusters"], 1);
    let rule = json!({"selector": {"names": ["c"]},
                      "node": {"provisioning": {"startupDuration": "6s"}}});
    put(control, "boot", &rule).await;
    let added = Instant::now();
    control.worker("c", "w0").await.unwrap();
    control.worker("c", "w1").await.unwrap();
    control.remove_node("c", "w1").await.unwrap();
    let session = access[0].connect().await.unwrap();
    assert_eq!(session.get(&format!("{NODES}/w0")).await.unwrap().status, 404);

    let program = program.kill().unwrap().start().await.unwrap();
    let control = program.control();
    let after = control.get("/behaviour/gold").await.unwrap().good().unwrap();
    let same = |report: &Value| {
        let mut report = report.clone();
        report["status"]["effects"] = Value::Null;
        report
    };
    assert_eq!(same(&after), same(&before));
    let gold = control.get("/register?resource=default/gold").await.unwrap().good().unwrap();
    assert_eq!(gold["labels"]["tier"], "gold");
    let refused = program.access("gold").await.unwrap().connect().await.unwrap();
    assert_eq!(refused.get(NODES).await.unwrap().status, 500);

    let session = program.access("c").await.unwrap().connect().await.unwrap();
    while session.get(&format!("{NODES}/w0")).await.unwrap().status == 404 {
        assert!(added.elapsed() < Duration::from_secs(30), "the node never comes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(added.elapsed() >= Duration::from_secs(6), "{:?}", added.elapsed());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(session.get(&format!("{NODES}/w1")).await.unwrap().status, 404, "it was removed");
    // Another label, another rule.
    let none = json!({"labels": {}});
    assert_eq!(control.try_register("gold", &none).await.unwrap().status, 200);
    assert_eq!(effects(control, "gold").await["clusters"], 0);
    refused.get(NODES).await.unwrap().good().unwrap();
}

#[tokio::test]
async fn a_control_plane_that_boots_activates_its_cluster_when_it_is_there() {
    let program = Program::start(&[]).await.unwrap();
    let control = program.control();
    let rule = json!({"node": {"provisioning": {"startupDuration": "2s"}}});
    put(control, "boot", &rule).await;
    control.register("c").await.unwrap();
    control.control_plane("c", "cp0").await.unwrap();
    let early = control.try_node("c", "w0", &Value::Null).await.unwrap();
    assert_eq!(
        (early.status, early.text().as_str()),
        (500, "Workload Cluster has not been activated\n")
    );
    // Told again while it boots, it boots no longer and is what was told last.
    let more = json!({"labels": {CONTROL_PLANE: "", "zone": "z2"}});
    assert_eq!(control.try_node("c", "cp0", &more).await.unwrap().status, 200);
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    let map = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config";
    assert_eq!(session.get(map).await.unwrap().status, 404);
    let began = Instant::now();
    while session.get(map).await.unwrap().status == 404 {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let node = session.get(&format!("{NODES}/cp0")).await.unwrap().good().unwrap();
    assert_eq!(node["metadata"]["labels"]["zone"], "z2");
    assert_eq!(effects(control, "boot").await["effects"]["boot"], 1);
}

#[tokio::test]
async fn rules_come_from_a_file_and_end_by_themselves() {
    let setup = Setup::new().unwrap();
    let file = setup.home().join("config.yaml");
    std::fs::write(
        &file,
        "behaviours:\n- name: short\n  expireAfter: 3s\n  apiServer:\n    errors: [{code: 500}]\n",
    )
    .unwrap();
    let setup = setup.args([std::ffi::OsString::from("--config"), file.clone().into()]);
    let program = setup.start().await.unwrap();
    let control = program.control();
    control.register("c").await.unwrap();
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    assert_eq!(session.get(NODES).await.unwrap().status, 500);
    let began = Instant::now();
    while control.get("/behaviour/short").await.unwrap().status == 200 {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let recovered = async {
        while session.get(NODES).await.unwrap().status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, recovered).await.unwrap();
    let setup = program.kill().unwrap();
    std::fs::write(&file, "behaviours:\n- name: Bad\n").unwrap();
    let refused = setup.start().await.unwrap_err().to_string();
    assert!(refused.contains("behaviours[0]: name: must be"), "{refused}");
}

#[tokio::test]
async fn what_is_wrong_with_a_rule_is_told() {
    let program = Program::start(&[]).await.unwrap();
    let control = program.control();
    let send = async |method: Method, path: &str, body: &str| {
        control.send(method, path, body.to_owned()).await.unwrap()
    };
    for (method, path, body, status, text) in [
        (Method::PUT, "/behaviour/r", "{", 400, "the body is not a rule"),
        (Method::PUT, "/behaviour/r", "{\"name\":\"x\"}", 400, "name \"x\" is not \"r\""),
        (Method::PUT, "/behaviour/R", "{}", 400, "name: must be"),
        (Method::PUT, "/behaviour/r", "{\"selector\":{\"share\":2}}", 400, "selector.share: must"),
        (Method::GET, "/behaviour/r", "", 404, "there is no rule \"r\""),
        (Method::DELETE, "/behaviour/r", "", 404, "there is no rule \"r\""),
        (Method::POST, "/behaviour/r", "{}", 405, "Method not allowed"),
        (Method::PUT, "/behaviour", "{}", 405, "Method not allowed"),
        (Method::GET, "/behaviours", "", 404, "404 page not found"),
        (Method::PUT, "/nodeHealth?resource=default/c", "{}", 400, "nodeName is missing"),
        (
            Method::PUT,
            "/nodeHealth?resource=default/c&nodeName=n",
            "{\"health\":\"ill\"}",
            400,
            "unknown variant `ill`",
        ),
        (
            Method::PUT,
            "/nodeHealth?resource=default/c&nodeName=n",
            "{\"health\":\"ready\"}",
            404,
            "cluster default/c is not registered",
        ),
        (
            Method::PUT,
            "/memberHealth?resource=default/c&nodeName=n",
            "{\"health\":\"lost\"}",
            404,
            "cluster default/c is not registered",
        ),
        (Method::GET, "/memberHealth", "", 405, "Method not allowed"),
    ] {
        let answer = send(method.clone(), path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer}");
        assert!(answer.text().contains(text), "{method} {path}: {answer}");
    }
    let list = control.get("/behaviour").await.unwrap().good().unwrap();
    assert_eq!(list, json!({"behaviours": []}));
    // What a list shows can be sent back.
    let report = put(control, "r", &json!({"seed": 4})).await;
    assert_eq!(put(control, "r", &report).await["seed"], 4);
}

/// What the Ready condition of a node says.
async fn ready(session: &Session, node: &str) -> String {
    let node = session.get(&format!("{NODES}/{node}")).await.unwrap().good().unwrap();
    let conditions = node["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
    ready["status"].as_str().unwrap().to_owned()
}

async fn until_ready_is(session: &Session, node: &str, status: &str) {
    let reached = async {
        while ready(session, node).await != status {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, reached).await.unwrap_or_else(|_| panic!("{node} is never {status}"));
}

#[tokio::test]
async fn nodes_flap_and_are_well_when_the_rule_is_gone() {
    let (program, access) = clusters(&["c"]).await;
    let control = program.control();
    control.worker("c", "w0").await.unwrap();
    let session = access[0].connect().await.unwrap();
    let flapping = json!({"upFor": "400ms", "downFor": "400ms", "as": "NotReady"});
    put(control, "flap", &json!({"node": {"flapping": flapping}})).await;
    // One that comes later flaps, too.
    control.worker("c", "w1").await.unwrap();
    for node in ["w0", "w1"] {
        until_ready_is(&session, node, "False").await;
        until_ready_is(&session, node, "True").await;
        until_ready_is(&session, node, "False").await;
    }
    // A restart does not know how it left them, and goes on.
    drop(session);
    let program = program.kill().unwrap().start().await.unwrap();
    let control = program.control();
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    until_ready_is(&session, "w0", "True").await;
    until_ready_is(&session, "w0", "False").await;
    let done = effects(control, "flap").await;
    assert!(done["effects"]["flap"].as_u64().unwrap() >= 2, "{done}");
    delete(control, "flap").await;
    for node in ["cp0", "w0", "w1"] {
        until_ready_is(&session, node, "True").await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for node in ["cp0", "w0", "w1"] {
        assert_eq!(ready(&session, node).await, "True", "{node} flaps on");
    }
}

/// The node whose etcd pod says that its member leads: the one since the latest.
async fn leader(session: &Session) -> String {
    let path = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd";
    let pods = session.get(path).await.unwrap().good().unwrap();
    let leads = |pod: &Value| {
        let annotations = &pod["metadata"]["annotations"];
        let since =
            annotations["etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from"].as_str()?;
        Some((since.to_owned(), pod["spec"]["nodeName"].as_str()?.to_owned()))
    };
    let latest = pods["items"].as_array().unwrap().iter().filter_map(leads).max();
    latest.expect("some member leads").1
}

#[tokio::test]
async fn leadership_moves_when_it_is_told_and_when_it_is_lost() {
    let (program, access) = clusters(&["c"]).await;
    let control = program.control();
    control.control_plane("c", "cp1").await.unwrap();
    control.control_plane("c", "cp2").await.unwrap();
    let session = access[0].connect().await.unwrap();
    let path = "/leader?resource=default/c&nodeName=cp2";
    let told = control.send(Method::PUT, path, "").await.unwrap().good().unwrap();
    assert_eq!(told, json!({"nodeName": "cp2"}));
    assert_eq!(leader(&session).await, "cp2");
    let path = "/leader?resource=default/c&nodeName=none";
    assert_eq!(control.send(Method::PUT, path, "").await.unwrap().status, 400);
    put(control, "loss", &json!({"etcd": {"leaderLoss": {"every": "1s"}}})).await;
    let began = Instant::now();
    while leader(&session).await == "cp2" {
        assert!(began.elapsed() < SOON, "the leader is not lost");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(effects(control, "loss").await["effects"]["leaderLoss"].as_u64().unwrap() >= 1);
}
