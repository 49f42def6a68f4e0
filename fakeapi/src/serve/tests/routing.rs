//! Which tenant answers, and on which worker.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;

use super::client::{Dial, WAYS};
use super::*;
use crate::serve::listener::{Family, ListenError};
use crate::serve::stats::{HandshakeFailure, Refusal};
use crate::serve::tls::ConfigCache;
use crate::serve::worker::owner;

/// A reset may overtake the end of `connect`.
async fn is_reset(at: SocketAddr) {
    let end = match TcpStream::connect(at).await {
        Ok(mut stream) => read_to_end(&mut stream).await.1,
        Err(error) => Err(error),
    };
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_address_alone_selects_the_tenant() {
    let site = Site::start(fast());
    let tenants = [site.tenant("a", "127.0.0.1"), site.tenant("b", "127.0.0.2")];
    for (at, tenant) in &tenants {
        for (tls, alpn) in WAYS {
            for sni in [None, Some("both.example")] {
                // Only this tenant's CA is trusted: another's certificate would end this here.
                let mut dial = Dial::new(*at, &tenant.authority, alpn);
                (dial.tls, dial.sni) = (tls, sni);
                let (status, body) = dial.http().await.text("/who").await.unwrap();
                assert_eq!(status, StatusCode::OK);
                let expected = format!("{}|{at}|none|", tenant.name);
                assert!(body.starts_with(&expected), "{body}");
                let http = if alpn == "h2" { "HTTP/2.0" } else { "HTTP/1.1" };
                assert!(body.contains(http), "{body}");
            }
        }
        assert_eq!(tenant.signed.load(Ordering::SeqCst), 1, "signed once for all");
    }
    assert_eq!(site.server.stats().requests, 16);
}

#[tokio::test]
async fn an_ipv6_address_is_an_address_too() {
    let site = Site::start(fast());
    if !site.server.addresses().iter().any(SocketAddr::is_ipv6) {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let (at, tenant) = site.tenant("six", "::1");
    let mut client = Dial::new(at, &tenant.authority, "h2").http().await;
    let (_, body) = client.text("/who").await.unwrap();
    assert!(body.starts_with(&format!("six|{at}|")), "{body}");
}

#[tokio::test]
async fn an_address_that_nobody_has_is_reset() {
    let site = Site::start(fast());
    let (_, _) = site.tenant("a", "127.0.0.1");
    is_reset(([127, 0, 0, 3], site.port).into()).await;
    let stats = site.server.stats();
    assert_eq!(stats.refused(Refusal::UnknownAddress), 1);
    assert_eq!((stats.admitted, stats.open), (0, 0));
}

#[tokio::test]
async fn a_connection_is_served_by_the_worker_that_owns_its_address() {
    const WORKERS: u32 = 3;
    let wildcard = Listen::Wildcard { port: 0 };
    let site = Site::with(fast(), WORKERS, wildcard, &mut |_, _, _| Ok(()));
    let mut owners = HashSet::new();
    for i in 1..=12 {
        let (at, tenant) = site.tenant("t", &format!("127.0.1.{i}"));
        let owner = owner(at, WORKERS);
        owners.insert(owner);
        for _ in 0..3 {
            let mut client = Dial::new(at, &tenant.authority, "http/1.1").http().await;
            let (_, body) = client.text("/who").await.unwrap();
            assert!(body.ends_with(&format!("|worker-{owner}")), "{body}");
        }
        // One certificate: all three were served from one worker's cache.
        assert_eq!(tenant.signed.load(Ordering::SeqCst), 1);
    }
    assert!(owners.len() > 1, "the addresses all have one owner: choose others");
    let stats = site.server.stats();
    assert_eq!((stats.accepted, stats.admitted), (36, 36));
    // The kernel spreads by port numbers: that none of 36 needed it is 3^-36.
    assert!(stats.handed_over > 0 && stats.handed_over < 36, "{stats:?}");
}

#[tokio::test]
async fn http_without_tls_is_told_so() {
    let site = Site::start(fast());
    let (at, _) = site.tenant("a", "127.0.0.1");
    for method in ["GET", "POST"] {
        let mut stream = TcpStream::connect(at.0).await.unwrap();
        let request = format!("{method} /version HTTP/1.1\r\nhost: {at}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (answer, end) = read_to_end(&mut stream).await;
        end.unwrap();
        let expected = "HTTP/1.0 400 Bad Request\r\n\r\n\
                        Client sent an HTTP request to an HTTPS server.\n";
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
    }
    eventually("both are counted", || {
        site.server.stats().handshake_failed(HandshakeFailure::Plaintext) == 2
    })
    .await;
}

/// It has not sent anything: nobody waits for it.
#[tokio::test]
async fn a_connection_that_was_let_in_before_an_outage_is_refused_in_its_handshake() {
    let site = Site::start(fast());
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    tenant.outage.set(Some(Outage::Hang));
    let mut stream = TcpStream::connect(at.0).await.unwrap();
    eventually("it is let in", || site.server.stats().admitted == 1).await;
    tenant.outage.set(Some(Outage::Refuse));
    let (_, end) = read_to_end(&mut stream).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    eventually("it is counted", || {
        site.server.stats().handshake_failed(HandshakeFailure::Outage) == 1
    })
    .await;
}

#[tokio::test]
async fn addresses_are_listened_on_and_left_at_run_time() {
    let site = Site::with(fast(), 2, Listen::ByAddress, &mut |_, _, _| Ok(()));
    assert!(site.server.addresses().is_empty());
    let free = "127.0.0.1:0".parse().unwrap();
    let at = site.server.listen(ClusterAddr(free)).await.unwrap();
    let tenant = TestTenant::new("late", &["127.0.0.1"]);
    site.directory.0.lock().insert(at, Arc::clone(&tenant));
    let mut client = Dial::new(at, &tenant.authority, "h2").http().await;
    client.text("/who").await.unwrap();
    assert_eq!(site.server.stats().handed_over, 0);

    let error = site.server.listen(at).await.unwrap_err();
    assert!(error.to_string().contains(&at.to_string()), "{error}");
    assert!(matches!(error, ListenError::Bind { .. }));

    assert!(site.server.unlisten(at).await.unwrap());
    assert!(!site.server.unlisten(at).await.unwrap());
    let refused = TcpStream::connect(at.0).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    client.text("/who").await.expect("open connections stay");
    drop(client);
    assert_eq!(site.server.listen(at).await.unwrap(), at);
}

#[tokio::test]
async fn steered_listeners_are_given_out_before_anything_is_accepted() {
    let mut given = Vec::new();
    let site = Site::with(fast(), 2, Listen::Steered, &mut |worker, family, fd| {
        let socket = socket2::SockRef::from(&fd);
        assert!(socket.is_listener()?);
        given.push((worker, family, socket.local_addr()?.as_socket().unwrap()));
        Ok(())
    });
    let v4: Vec<_> = given.iter().filter(|given| given.1 == Family::V4).collect();
    assert_eq!(v4.iter().map(|given| given.0).collect::<Vec<_>>(), [0, 1]);
    assert!(v4.iter().all(|given| given.2.ip().is_loopback()));
    let addresses: Vec<_> = given.iter().map(|given| given.2).collect();
    assert_eq!(site.server.addresses(), addresses);
    // Whoever comes by that port itself is told that nobody is there.
    is_reset(v4[1].2).await;
}

#[test]
fn configurations_are_kept_within_their_bound() {
    let cache = ConfigCache::new(NonZeroUsize::new(2).unwrap());
    let tenant = TestTenant::new("t", &["127.0.0.1"]);
    let signed = || tenant.signed.load(Ordering::SeqCst);
    let at = |port| ClusterAddr(([127, 0, 0, 1], port).into());
    let get = |port| cache.get(at(port), &*tenant).unwrap();
    let first = get(1);
    get(2);
    assert!(Arc::ptr_eq(&first, &get(1)));
    assert_eq!(signed(), 2);
    get(3);
    assert_eq!(cache.len(), 2);
    assert!(Arc::ptr_eq(&first, &get(1)), "the one visited least recently goes");
    get(2);
    assert_eq!(signed(), 4);
    tenant.generation.fetch_add(1, Ordering::SeqCst);
    get(2);
    assert_eq!((signed(), cache.len()), (5, 2), "another identity is another certificate");
}
