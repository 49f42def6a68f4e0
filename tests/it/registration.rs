//! Clusters come and go over the control endpoint.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use fakeapi_tests::control::address;
use fakeapi_tests::openssl::{Authority, KeyForm};
use fakeapi_tests::{Program, Setup};
use futures::future::join_all;
use http::Method;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

const FORMS: [KeyForm; 3] = [KeyForm::RsaPkcs1, KeyForm::RsaPkcs8, KeyForm::EcSec1];

fn keys(ca: &Authority, etcd: &Authority) -> Value {
    json!({
        "caKey": ca.key_base64(),
        "caCert": ca.certificate_base64(),
        "etcdKey": etcd.key_base64(),
        "etcdCert": etcd.certificate_base64(),
    })
}

/// The first README's form: everything in the query.
fn query(name: &str, keys: &Value) -> String {
    let mut path = format!("/register?resource=default/{name}");
    for (key, value) in keys.as_object().unwrap() {
        let value = value.as_str().unwrap().replace('+', "%2B");
        path.extend(["&", key, "=", &value]);
    }
    path
}

fn der(ca: &Authority) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(ca.certificate.as_bytes()).unwrap()
}

#[tokio::test]
async fn every_form_of_key_serves_in_both_forms_of_request() {
    let program = Program::start(&[]).await.unwrap();
    let control = program.control();
    for form in FORMS {
        let (ca, etcd) =
            (Authority::make(form, "ca").unwrap(), Authority::make(form, "etcd").unwrap());
        let (new, old) = (format!("{form:?}-new"), format!("{form:?}-old"));
        let posted = control.try_register(&new, &keys(&ca, &etcd)).await.unwrap();
        let got = control.get(&query(&old, &keys(&ca, &etcd))).await.unwrap();
        for (name, answer) in [(new, posted), (old, got)] {
            let at = address(&answer).unwrap();
            assert_eq!(answer.json().unwrap()["ResourceName"], format!("default/{name}"));
            let access = program.access(&name).await.unwrap();
            assert_eq!(access.address, at, "{name}");
            assert_eq!(access.ca, der(&ca), "{name}");
            let session = access.connect().await.unwrap();
            let answer = session.get("/api/v1/namespaces").await.unwrap();
            assert_eq!(answer.status, 200, "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn registering_again_answers_the_same_unless_something_else_is_wanted() {
    let program = Program::start(&[]).await.unwrap();
    let control = program.control();
    let make = |name| Authority::make(KeyForm::EcSec1, name).unwrap();
    let (ca, etcd, other) = (make("ca"), make("etcd"), make("other"));
    let first = control.try_register("c", &keys(&ca, &etcd)).await.unwrap();
    for again in [keys(&ca, &etcd), Value::Null] {
        let again = control.try_register("c", &again).await.unwrap();
        assert_eq!(again.text(), first.text());
    }
    for (wish, text) in [
        (keys(&other, &etcd), "ca: the cluster is registered with another CA"),
        (keys(&ca, &other), "etcdCa: the cluster is registered with another etcd CA"),
        (json!({"address": "127.1.2.3:1"}), "address: the cluster is registered at "),
    ] {
        let refused = control.try_register("c", &wish).await.unwrap();
        assert_eq!(refused.status, 400, "{refused}");
        assert!(refused.text().starts_with(text), "{refused}");
    }
    assert_eq!(program.access("c").await.unwrap().ca, der(&ca));
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_is_refused() {
    let program = Program::start(&[]).await.unwrap();
    let control = program.control();
    let make = |form| Authority::make(form, "ca").unwrap();
    let (good, etcd) = (make(KeyForm::EcSec1), make(KeyForm::EcSec1));
    for form in FORMS {
        let mixed = Authority { key: make(form).key, ..good.clone() };
        for (wish, which) in [(keys(&mixed, &etcd), "cluster"), (keys(&good, &mixed), "etcd")] {
            let refused = control.try_register("c", &wish).await.unwrap();
            assert_eq!(refused.status, 400, "{form:?} {which}: {refused}");
            assert!(refused.text().contains(&format!("the {which} CA")), "{refused}");
        }
    }
    assert_eq!(control.clusters().await.unwrap(), Vec::<Value>::new());
    control.register("c").await.unwrap();
}

#[tokio::test]
async fn many_at_once_agree() {
    let program = Program::start(&[]).await.unwrap();
    let control = program.control();
    let same = join_all((0..64).map(|_| control.register("same"))).await;
    let same: BTreeSet<SocketAddr> = same.into_iter().map(Result::unwrap).collect();
    assert_eq!(same.len(), 1, "{same:?}");

    let names: Vec<String> = (0..64).map(|number| format!("c{number}")).collect();
    let each = join_all(names.iter().map(|name| control.register(name))).await;
    let each: Vec<SocketAddr> = each.into_iter().map(Result::unwrap).collect();
    assert_eq!(each.iter().collect::<BTreeSet<_>>().len(), 64);
    let listed = control.clusters().await.unwrap();
    assert_eq!(listed.len(), 65);
    for (name, at) in names.iter().zip(&each) {
        let entry = listed.iter().find(|entry| entry["name"] == **name).unwrap();
        assert_eq!(entry["address"], at.to_string());
    }
}

#[tokio::test]
async fn an_address_comes_back_and_an_empty_pool_says_so() {
    let setup = Setup::new().unwrap().without_pool();
    let pool = format!("{}/30", setup.slot().ip(7, 0));
    let program = setup.args(["--pool", &pool]).start().await.unwrap();
    let control = program.control();
    let mut taken = Vec::new();
    let refused = loop {
        let answer =
            control.try_register(&format!("c{}", taken.len()), &Value::Null).await.unwrap();
        match address(&answer) {
            Ok(at) => taken.push(at),
            Err(_) => break answer,
        }
        assert!(taken.len() <= 4, "{taken:?}");
    };
    assert!(!taken.is_empty());
    assert_eq!(refused.status, 500);
    assert_eq!(refused.text(), "Failed to initialize listener\n");
    let cause = refused.headers["x-fakeapi-cause"].to_str().unwrap();
    assert!(cause.contains(&pool) || cause.contains("pool"), "{cause}");

    control.unregister("c0").await.unwrap();
    let gone = control.get("/kubeconfig?resource=default/c0").await.unwrap();
    assert_eq!((gone.status, gone.text().contains("default/c0")), (404, true), "{gone}");
    let refused = program.access("c1").await.unwrap();
    let there = refused.connect().await.unwrap().get("/healthz").await.unwrap();
    assert_eq!(there.status, 200);
    assert_eq!(control.register("next").await.unwrap(), taken[0]);
    let again = control.send(Method::DELETE, "/register?resource=default/c0", "").await.unwrap();
    assert_eq!(again.status, 404, "{again}");
}

#[tokio::test]
async fn an_unregistered_cluster_is_served_no_more() {
    let program = Program::start(&[]).await.unwrap();
    program.control().register("c").await.unwrap();
    let access = program.access("c").await.unwrap();
    let session = access.connect().await.unwrap();
    assert_eq!(session.get("/version").await.unwrap().status, 200);
    let mut watch = session.watch("/api/v1/namespaces?watch=1&resourceVersion=0").await.unwrap();
    watch.next().await.unwrap().unwrap();
    program.control().unregister("c").await.unwrap();
    watch.to_end().await.unwrap();
    access.connect().await.unwrap_err();
    let late = session.get("/version").await;
    assert!(late.is_err(), "{late:?}");
}

#[tokio::test]
async fn a_wanted_address_is_had() {
    let setup = Setup::new().unwrap();
    let program = setup.start().await.unwrap();
    let control = program.control();
    let wanted = format!("{}:{}", setup.slot().ip(9, 9), setup.slot().port());
    let wish = json!({"address": wanted});
    let at = address(&control.try_register("a", &wish).await.unwrap()).unwrap();
    assert_eq!(at.to_string(), wanted);
    let taken = control.try_register("b", &wish).await.unwrap();
    assert_eq!(taken.status, 409, "{taken}");
    assert!(taken.text().contains(&setup.slot().ip(9, 9).to_string()), "{taken}");
    let outside = json!({"address": format!("127.255.0.1:{}", setup.slot().port())});
    let outside = control.try_register("b", &outside).await.unwrap();
    assert_eq!(outside.status, 409, "{outside}");
    let text = control.try_register("b", &json!({"address": "nonsense"})).await.unwrap();
    assert_eq!((text.status, text.text().as_str()), (400, "address \"nonsense\" is not IP:PORT\n"));
    // What was refused left nothing behind.
    control.register("b").await.unwrap();
}

/// Port mode on the slot's own address, with five ports.
fn port_mode(setup: Setup) -> (Setup, std::net::Ipv4Addr, u16) {
    let (ip, first) = (setup.slot().ip(1, 1), 20_000);
    let ports = format!("{first}-{}", first + 4);
    let args = ["--mode", "port", "--ip", &ip.to_string(), "--ports", &ports];
    (setup.without_pool().args(args), ip, first)
}

pub(crate) async fn ports_are_given_and_a_used_one_is_passed_over(setup: Setup) {
    let (setup, ip, first) = port_mode(setup);
    let foreign = std::net::TcpListener::bind((ip, first + 1)).unwrap();
    let program = setup.start().await.unwrap();
    let control = program.control();
    let mut served = Vec::new();
    let mut refusals = Vec::new();
    for number in 0..6 {
        let answer = control.try_register(&format!("c{number}"), &Value::Null).await.unwrap();
        match address(&answer) {
            Ok(at) => served.push((format!("c{number}"), at)),
            Err(_) => refusals.push(answer),
        }
    }
    for (name, at) in &served {
        assert_eq!(at.ip(), ip);
        let session = program.access(name).await.unwrap().connect().await.unwrap();
        assert_eq!(session.get("/readyz").await.unwrap().status, 200, "{name} at {at}");
    }
    let ports: BTreeSet<u16> = served.iter().map(|(_, at)| at.port()).collect();
    assert_eq!(ports, BTreeSet::from([first, first + 2, first + 3, first + 4]), "{refusals:?}");
    // It costs nobody a registration: only when all others are given there is none left.
    assert!(served.iter().map(|(name, _)| name.as_str()).eq(["c0", "c1", "c2", "c3"]));
    for refusal in &refusals {
        assert_eq!(refusal.status, 500, "{refusal}");
        assert!(refusal.headers.contains_key("x-fakeapi-cause"), "{refusal}");
    }
    drop(foreign);
    let at = control.register("late").await.unwrap();
    assert_eq!(at.port(), first + 1);
    let session = program.access("late").await.unwrap().connect().await.unwrap();
    assert_eq!(session.get("/readyz").await.unwrap().status, 200);
}

#[tokio::test]
async fn ports_without_the_kernel() {
    ports_are_given_and_a_used_one_is_passed_over(Setup::new().unwrap()).await;
}

#[tokio::test]
async fn a_wanted_port_that_is_in_use_is_a_clear_error() {
    let (setup, ip, first) = port_mode(Setup::new().unwrap());
    let program = setup.start().await.unwrap();
    let control = program.control();
    let foreign = std::net::TcpListener::bind((ip, first + 2)).unwrap();
    let wish = json!({"address": format!("{ip}:{}", first + 2)});
    let refused = control.try_register("c", &wish).await.unwrap();
    assert!(refused.status >= 400, "{refused}");
    let said = refused.to_string();
    assert!(said.contains("in use") && said.contains(&(first + 2).to_string()), "{said}");
    assert_eq!(control.clusters().await.unwrap(), Vec::<Value>::new());
    control.register("other").await.unwrap();
    drop(foreign);
    assert_eq!(
        address(&control.try_register("c", &wish).await.unwrap()).unwrap().port(),
        first + 2
    );
}
