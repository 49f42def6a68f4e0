//! An orderly end.

use std::time::{Duration, Instant};

use fakeapi_tests::{Access, Program};
use nix::sys::signal::Signal;
use tokio::net::TcpStream;

#[tokio::test]
async fn watches_end_in_order() {
    let mut program = Program::start(&[]).await.unwrap();
    let at = program.control().register("c").await.unwrap();
    program.control().control_plane("c", "n0").await.unwrap();
    let access = program.access("c").await.unwrap();
    let mut watches = Vec::new();
    for access in [access.clone(), access.http1()] {
        for path in ["/api/v1/nodes?watch=1", "/api/v1/namespaces/default/configmaps?watch=1"] {
            watches.push(access.connect().await.unwrap().watch(path).await.unwrap());
        }
    }
    let idle = access.connect().await.unwrap();
    idle.get("/version").await.unwrap();
    let ends: Vec<_> = watches
        .into_iter()
        .map(|mut watch| tokio::spawn(async move { watch.to_end().await }))
        .collect();
    // The watches of nodes have events before their end.
    let began = Instant::now();
    let status = program.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}: {}", program.log());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for end in ends {
        end.await.unwrap().unwrap();
    }
    TcpStream::connect(at).await.unwrap_err();
    TcpStream::connect(program.control().address()).await.unwrap_err();
}

#[tokio::test]
async fn a_client_that_does_not_end_is_cut_at_the_bound() {
    let mut program = Program::start(&["--drain-seconds", "2"]).await.unwrap();
    program.control().register("c").await.unwrap();
    let access: Access = program.access("c").await.unwrap();
    // A request whose body never comes.
    let mut stream = access.http1().tls().await.unwrap();
    let head = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: c\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    let status = program.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}: {}", program.log());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn an_interrupt_ends_it_too_and_the_data_is_whole() {
    let program = Program::start(&[]).await.unwrap();
    let at = program.control().register("c").await.unwrap();
    let mut program = program;
    program.signal(Signal::SIGINT).unwrap();
    assert_eq!(program.ended().await.unwrap().code(), Some(0));
    let program = program.setup().start().await.unwrap();
    assert_eq!(program.control().register("c").await.unwrap(), at);
}
