//! A thread in a fresh network namespace, and what a test needs in one.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use fakeapi::netlink::{Kernel, LinkIndex, LinkKind, Rtnetlink};
use fakeapi_tests::namespace::Namespace;

/// How long a connection inside one namespace may take, in an emulated machine too.
const CONNECT: Duration = Duration::from_secs(10);

/// Runs `test` on a thread of its own in a new network namespace with `lo` up, on a runtime of
/// that thread. Without root it is skipped, aloud.
pub(crate) fn in_namespace<F>(name: &'static str, test: F)
where
    F: AsyncFnOnce() + Send + 'static,
{
    if !nix::unistd::geteuid().is_root() {
        println!("SKIP {name}: needs root for a network namespace of its own");
        return;
    }
    Namespace::new().run(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test());
    });
}

/// The index of a link, if it is there.
pub(crate) async fn link(kernel: &Rtnetlink, name: &str) -> Option<LinkIndex> {
    let links = kernel.links().await.expect("links can be read");
    links.into_iter().find(|link| link.name == name).map(|link| link.index)
}

/// Whether this kernel makes dummy links; the one made to find out is gone again.
pub(crate) async fn has_dummy_driver(kernel: &Rtnetlink) -> bool {
    match kernel.add_dummy("probe0").await {
        Ok(index) => {
            let links = kernel.links().await.expect("links can be read");
            let probe = links.iter().find(|link| link.index == index);
            assert_eq!(probe.map(|link| link.kind), Some(LinkKind::Dummy));
            assert!(probe.is_some_and(|link| link.up), "dummy links are made up");
            kernel.remove_link(index).await.expect("the probe goes");
            true
        }
        // EOPNOTSUPP is "no such type"; anything else is a fault worth failing for.
        Err(cause) if cause.raw_os_error() == Some(95) => false,
        Err(cause) => panic!("could not probe for the dummy driver: {cause}"),
    }
}

/// Connects to `ip` and checks that the server side sees exactly that address as its own, and
/// that bytes pass.
pub(crate) fn assert_reachable(ip: IpAddr) {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a wildcard listener");
    let port = listener.local_addr().expect("it is bound").port();
    let mut client = TcpStream::connect_timeout(&SocketAddr::new(ip, port), CONNECT)
        .unwrap_or_else(|error| panic!("{ip} is not reachable: {error}"));
    let (mut served, _) = listener.accept().expect("the connection arrives");
    let seen = served.local_addr().expect("it is connected").ip().to_canonical();
    assert_eq!(seen, ip, "the original destination is kept");
    client.write_all(b"x").expect("bytes pass");
    served.read_exact(&mut [0]).expect("bytes arrive");
}

/// Checks that nothing delivers `ip` to this namespace.
pub(crate) fn assert_unreachable(ip: IpAddr) {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a wildcard listener");
    let port = listener.local_addr().expect("it is bound").port();
    let connected = TcpStream::connect_timeout(&SocketAddr::new(ip, port), CONNECT);
    let error = connected.expect_err("nothing delivers the address").raw_os_error();
    // ENETUNREACH: no route at all, which only a namespace without a default route answers.
    assert_eq!(error, Some(101), "{ip}");
}
