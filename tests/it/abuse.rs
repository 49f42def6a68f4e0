//! What clients do wrong harms nobody else.

use std::time::{Duration, Instant};

use fakeapi_tests::{Access, Program, Session};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn cluster() -> (Program, Access, Session) {
    let program = Program::start(&[]).await.unwrap();
    program.control().register("c").await.unwrap();
    let access = program.access("c").await.unwrap();
    let session = access.connect().await.unwrap();
    (program, access, session)
}

#[tokio::test]
async fn a_header_too_large_is_431() {
    let (_program, access, session) = cluster().await;
    let mut stream = access.http1().tls().await.unwrap();
    let mut request = b"GET /version HTTP/1.1\r\nHost: c\r\nX-Large: ".to_vec();
    request.resize(80 * 1024, b'x');
    // The server may stop reading before all is written.
    let _ = stream.write_all(&request).await;
    let _ = stream.flush().await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
    assert_eq!(session.get("/version").await.unwrap().status, 200);
}

#[tokio::test]
async fn who_does_not_shake_hands_is_cut_while_others_are_served() {
    let (_program, access, session) = cluster().await;
    let began = Instant::now();
    let silent = join_all((0..50).map(|_| TcpStream::connect(access.address))).await;
    let mut half = TcpStream::connect(access.address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let cut = tokio::spawn(async move {
        for stream in silent.into_iter().map(Result::unwrap).chain([half]) {
            let mut stream = stream;
            // An end or a reset: what counts is that it comes.
            let read = stream.read(&mut [0; 64]).await;
            assert!(!matches!(read, Ok(1..)), "{read:?}");
        }
        began.elapsed()
    });
    let mut served = 0;
    while !cut.is_finished() {
        assert_eq!(session.get("/version").await.unwrap().status, 200);
        access.connect().await.unwrap();
        served += 1;
        assert!(began.elapsed() < Duration::from_secs(30), "never cut");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = cut.await.unwrap();
    assert!(took >= Duration::from_secs(9), "cut after {took:?} already");
    assert!(served > 10, "{served}");
}

/// How many writes happen while a watcher does not read.
const WRITES: usize = 5_000;

/// How many of them are under way at once.
const AT_ONCE: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_never_reads_holds_up_nobody() {
    let (program, access, session) = cluster().await;
    program.control().register("other").await.unwrap();
    let other = program.access("other").await.unwrap().connect().await.unwrap();
    let list = session.get(MAPS).await.unwrap().good().unwrap();
    let from = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let path = format!("{MAPS}?watch=1&resourceVersion={from}");
    let mut silent = access.http1().tls().await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: c\r\n\r\n");
    silent.write_all(request.as_bytes()).await.unwrap();
    silent.flush().await.unwrap();
    let mut reading = access.connect().await.unwrap().watch(&path).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut names = Vec::with_capacity(WRITES);
        while names.len() < WRITES {
            let made = reading.expect("ADDED").await.unwrap();
            names.push(made["metadata"]["name"].as_str().unwrap().to_owned());
        }
        names
    });
    let padding = "x".repeat(2_000);
    let mut served = 0;
    for batch in 0..WRITES / AT_ONCE {
        let writes = (0..AT_ONCE).map(|number| {
            let name = format!("m{:05}", batch * AT_ONCE + number);
            let map = json!({"metadata": {"name": name}, "data": {"padding": padding}});
            let session = session.clone();
            async move { session.post(MAPS, &map).await.unwrap().good().unwrap() }
        });
        let all = tokio::time::timeout(Duration::from_secs(20), join_all(writes)).await;
        assert_eq!(all.expect("writes stand still").len(), AT_ONCE);
        // Somebody else's cluster, and another client of the same.
        for session in [&other, &session] {
            let one = session.get("/api/v1/namespaces/default");
            let answer = tokio::time::timeout(Duration::from_secs(20), one).await;
            assert_eq!(answer.expect("reads stand still").unwrap().status, 200);
            served += 1;
        }
    }
    assert_eq!(served, 2 * WRITES / AT_ONCE);
    let mut names = reader.await.unwrap();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), WRITES);
}

#[tokio::test]
async fn a_stale_version_conflicts() {
    let (_program, _, session) = cluster().await;
    let map = |value: &str| json!({"metadata": {"name": "m"}, "data": {"v": value}});
    let made = session.post(MAPS, &map("1")).await.unwrap().good().unwrap();
    let path = format!("{MAPS}/m");
    session.put(&path, &map("2")).await.unwrap().good().unwrap();
    let mut stale = made.clone();
    stale["data"]["v"] = "3".into();
    let refused = session.put(&path, &stale).await.unwrap();
    assert_eq!(refused.status, 409, "{refused}");
    assert_eq!(refused.json().unwrap()["reason"], "Conflict");
    let version = &made["metadata"]["resourceVersion"];
    let change = json!({"metadata": {"resourceVersion": version}, "data": {"v": "4"}});
    assert_eq!(session.patch(&path, &change).await.unwrap().status, 409);
    let kept = session.get(&path).await.unwrap().good().unwrap();
    assert_eq!(kept["data"]["v"], "2");
}

#[tokio::test]
async fn of_two_writers_with_one_version_one_wins() {
    let (_program, access, session) = cluster().await;
    let map = |value: usize, version: &Value| json!({"metadata": {"name": "m", "resourceVersion": version}, "data": {"v": value.to_string()}});
    let mut now = session.post(MAPS, &map(0, &"".into())).await.unwrap().good().unwrap();
    let sessions = join_all((0..8).map(|_| access.connect())).await;
    let sessions: Vec<Session> = sessions.into_iter().map(Result::unwrap).collect();
    for round in 0..20 {
        let version = now["metadata"]["resourceVersion"].clone();
        let path = format!("{MAPS}/m");
        let bodies: Vec<Value> =
            (0..8).map(|writer| map(round * 8 + writer + 1, &version)).collect();
        let answers =
            join_all(sessions.iter().zip(&bodies).map(|(one, body)| one.put(&path, body))).await;
        let mut won = Vec::new();
        for answer in answers.into_iter().map(Result::unwrap) {
            match answer.status {
                200 => won.push(answer.json().unwrap()),
                409 => {}
                _ => panic!("{answer}"),
            }
        }
        assert_eq!(won.len(), 1);
        now = session.get(&path).await.unwrap().good().unwrap();
        assert_eq!(now["data"], won[0]["data"]);
    }
}

#[tokio::test]
async fn what_is_not_json_is_400() {
    let (_program, _, session) = cluster().await;
    for body in ["{", "", "[]", "\"text\"", "{\"metadata\": 7}", "\u{0}"] {
        let answer = session
            .call(http::Method::POST, MAPS, "application/json", body.to_owned())
            .await
            .unwrap();
        assert_eq!(answer.status, 400, "{body:?}: {answer}");
        assert_eq!(answer.json().unwrap()["kind"], "Status", "{body:?}: {answer}");
    }
    let unknown = session.call(http::Method::POST, MAPS, "text/html", "{}").await.unwrap();
    assert_eq!(unknown.status, 415, "{unknown}");
}
