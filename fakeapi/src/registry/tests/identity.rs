//! Who a cluster is, before and after its real authorities come.

use super::*;
use crate::cluster::base::ClusterFacts;
use crate::register::{Fault, RegisterError, RegisterRequest, Registrar};
use crate::registry::cluster::Identity;
use crate::registry::record::StandIns;
use crate::registry::steps::registered;

#[tokio::test]
async fn only_what_stands_in_gives_way_to_the_management_clusters() {
    let directory = tempfile::tempdir().unwrap();
    let secrets = Arc::new(Secrets::default());
    let (given, real) = (authority(), authority());
    let run = start(directory.path(), Some(&secrets));
    let request = RegisterRequest { ca: Some(given.clone()), ..RegisterRequest::default() };
    run.registry.register(&named("c"), request).await.unwrap();
    let early = run.registry.put_node(&named("c"), control_plane("n")).await.unwrap_err();
    assert!(
        matches!(&early, RegisterError::Secret { secret, .. } if secret == "c-etcd"),
        "{early}"
    );
    secrets.put("c-ca", &authority());
    secrets.put("c-etcd", &real);
    run.registry.put_node(&named("c"), control_plane("n")).await.unwrap();
    drop(run);
    let run = start(directory.path(), Some(&secrets));
    let cluster = run.registry.known(&named("c")).unwrap();
    assert_eq!(cluster.facts().ca.to_pem().certificate, given.certificate);
    assert_eq!(cluster.facts().etcd_ca.to_pem().certificate, real.certificate);
    assert_eq!(cluster.identity.read().stand_ins, StandIns::default());
    assert_eq!(run.registry.nodes(&named("c")).unwrap().len(), 1);
}

#[tokio::test]
async fn of_an_external_etcd_nothing_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let secrets = Arc::new(Secrets::default());
    let run = start(directory.path(), Some(&secrets));
    let stand_ins = |name: &str| {
        let cluster = run.registry.known(&named(name)).unwrap();
        cluster.identity.read().stand_ins
    };
    let etcd = |name: &str| {
        let cluster = run.registry.known(&named(name)).unwrap();
        cluster.facts().etcd_ca.to_pem().certificate
    };
    // Both Secrets are there before the registration.
    secrets.put("before-ca", &authority());
    secrets.put_keyless("before-etcd");
    run.registry.register(&named("before"), RegisterRequest::default()).await.unwrap();
    assert_eq!(stand_ins("before"), StandIns::default());
    run.registry.put_node(&named("before"), control_plane("n")).await.unwrap();

    // They come between the registration and the first control plane.
    run.registry.register(&named("after"), RegisterRequest::default()).await.unwrap();
    assert_eq!(stand_ins("after"), StandIns { ca: true, etcd: true });
    let (real, ours) = (authority(), etcd("after"));
    secrets.put("after-ca", &real);
    secrets.put_keyless("after-etcd");
    run.registry.put_node(&named("after"), control_plane("n")).await.unwrap();
    assert_eq!(stand_ins("after"), StandIns::default());
    assert_eq!(etcd("after"), ours);
    let cluster = run.registry.known(&named("after")).unwrap();
    assert_eq!(cluster.facts().ca.to_pem().certificate, real.certificate);
}

#[tokio::test]
async fn an_identity_that_is_not_written_down_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), Some(&Arc::default()));
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    let cluster = run.registry.known(&named("c")).unwrap();
    let before = cluster.facts();
    let refused = cluster.become_known_as(settled(&before), |_, _| Err("the disk is full"));
    assert_eq!(refused, Err("the disk is full"));
    assert!(Arc::ptr_eq(&cluster.facts(), &before));
    assert!(Arc::ptr_eq(&cluster.store.with_base(|base| base.facts().clone()), &before));
    assert!(cluster.identity.read().stand_ins.any(), "the next control plane tries again");
}

/// A cluster's identity with new authorities, which are its real ones.
fn settled(facts: &ClusterFacts) -> Identity {
    let facts = ClusterFacts {
        name: facts.name.clone(),
        addr: facts.addr,
        ca: CertificateAuthority::from_pem(&authority()).unwrap(),
        etcd_ca: CertificateAuthority::from_pem(&authority()).unwrap(),
        seed: facts.seed,
        created: facts.created,
    };
    Identity::new(facts, StandIns::default())
}

#[tokio::test]
async fn the_same_certificate_in_another_text_is_the_same_authority() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    let ca = authority();
    let request = |certificate: String| RegisterRequest {
        ca: Some(CaPem { certificate, key: ca.key.clone() }),
        ..RegisterRequest::default()
    };
    let first = request(ca.certificate.clone());
    let address = run.registry.register(&named("c"), first).await.unwrap();
    let cluster = run.registry.known(&named("c")).unwrap();
    let windows = ca.certificate.replace('\n', "\r\n");
    let described = format!("subject=CN = test\n{}", ca.certificate);
    for text in [windows, described] {
        assert_eq!(registered(&cluster, &request(text)).unwrap(), address);
    }
    for text in [authority().certificate, "no certificate".to_owned()] {
        assert!(registered(&cluster, &request(text)).is_err());
    }
}

#[tokio::test]
async fn a_cluster_that_is_gone_takes_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    let cluster = run.registry.known(&named("c")).unwrap();
    run.registry.set_fault(&named("c"), Fault::Blackhole).await.unwrap();
    run.registry.unregister(&named("c")).await.unwrap();
    assert_eq!(*cluster.fault.read(), Fault::None);
    let refused = run.registry.set_fault(&named("c"), Fault::Blackhole).await.unwrap_err();
    assert!(matches!(refused, RegisterError::UnknownCluster(_)), "{refused}");
    assert_eq!(*cluster.fault.read(), Fault::None);
}
