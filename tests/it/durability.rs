//! What was acknowledged is there after the power was cut.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fakeapi_tests::control::address;
use fakeapi_tests::{Control, Program, Session, Setup};
use model::Acknowledged;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A model of what the program has acknowledged.
mod model {
    use super::{BTreeMap, SocketAddr};

    /// One cluster, as far as it was acknowledged.
    #[derive(Clone, Debug)]
    pub(super) struct Acknowledged {
        pub(super) address: SocketAddr,
        pub(super) ca: Vec<u8>,
        pub(super) nodes: Vec<String>,
        /// Name to value and resourceVersion of `ConfigMaps` in `default`.
        pub(super) objects: BTreeMap<String, (u64, u64)>,
        /// The highest resourceVersion that was ever seen.
        pub(super) version: u64,
    }
}

/// How often the power is cut.
const ROUNDS: u64 = 5;

/// Writers at once; each works on clusters of its own.
const WRITERS: u64 = 6;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn version_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn map(name: &str, value: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name}, "data": {"value": value.to_string()},
    })
}

async fn session(control: &Control, cluster: &str) -> anyhow::Result<Session> {
    let text = control.kubeconfig(cluster).await?;
    fakeapi_tests::Access::from_kubeconfig(&text)?.connect().await
}

/// Makes clusters, nodes and objects until the power goes; what was acknowledged.
async fn write(
    control: Control,
    prefix: String,
    done: Arc<AtomicU64>,
) -> BTreeMap<String, Acknowledged> {
    let mut model = BTreeMap::new();
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        if fill(&control, &name, &mut model, &done).await.is_err() {
            break;
        }
    }
    model
}

async fn fill(
    control: &Control,
    name: &str,
    model: &mut BTreeMap<String, Acknowledged>,
    done: &AtomicU64,
) -> anyhow::Result<()> {
    let at = control.register(name).await?;
    let access = fakeapi_tests::Access::from_kubeconfig(&control.kubeconfig(name).await?)?;
    model.insert(
        name.to_owned(),
        Acknowledged {
            address: at,
            ca: access.ca.to_vec(),
            nodes: Vec::new(),
            objects: BTreeMap::new(),
            version: 0,
        },
    );
    let known = model.get_mut(name).unwrap();
    let session = access.connect().await?;
    for node in ["n0", "n1"] {
        control.control_plane(name, node).await?;
        known.nodes.push(node.to_owned());
        done.fetch_add(1, Ordering::Relaxed);
    }
    for value in 0..8 {
        let (map_name, path) = (format!("m{}", value % 3), format!("{MAPS}/m{}", value % 3));
        let answer = if known.objects.contains_key(&map_name) {
            session.put(&path, &map(&map_name, value)).await?
        } else {
            session.post(MAPS, &map(&map_name, value)).await?
        };
        let version = version_of(&answer.good()?);
        assert!(version > known.version, "{version} after {}", known.version);
        known.version = version;
        known.objects.insert(map_name, (value, version));
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Compares a program that was started again with what the former acknowledged.
async fn check(control: &Control, name: &str, known: &mut Acknowledged) {
    let access =
        fakeapi_tests::Access::from_kubeconfig(&control.kubeconfig(name).await.unwrap()).unwrap();
    assert_eq!(access.address, known.address, "{name}");
    assert_eq!(&*access.ca, known.ca, "{name}");
    let session = access.connect().await.unwrap();
    let nodes = session.get("/api/v1/nodes").await.unwrap().good().unwrap();
    let names: Vec<&str> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["metadata"]["name"].as_str().unwrap())
        .collect();
    for node in &known.nodes {
        assert!(names.contains(&node.as_str()), "{name} lost {node}: {names:?}");
    }
    let maps = session.get(MAPS).await.unwrap().good().unwrap();
    let now: u64 = maps["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    assert!(now >= known.version, "{name} went back from {} to {now}", known.version);
    for (map, (value, version)) in &known.objects {
        let found = session.get(&format!("{MAPS}/{map}")).await.unwrap().good().unwrap();
        let is: u64 = found["data"]["value"].as_str().unwrap().parse().unwrap();
        // One that was on its way when the power went may be there too.
        assert!(is >= *value, "{name} {map}: {is} after {value}");
        if is == *value {
            assert_eq!(version_of(&found), *version, "{name} {map}");
        }
    }
    // The next change comes after all that was seen.
    let marker =
        session.post(MAPS, &json!({"metadata": {"generateName": "after-"}})).await.unwrap();
    let marker = version_of(&marker.good().unwrap());
    assert!(marker > known.version.max(now), "{name}: {marker} after {}", known.version);
    known.version = marker;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let setup = Setup::new().unwrap();
    let mut model: BTreeMap<String, Acknowledged> = BTreeMap::new();
    let mut program = setup.start().await.unwrap();
    for round in 0..ROUNDS {
        let done = Arc::new(AtomicU64::new(0));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let prefix = format!("r{round}-w{writer}");
            writers.spawn(write(*program.control(), prefix, done.clone()));
        }
        // The moment depends on how far the work is, not on how fast this machine is.
        let enough = 40 + round * 37;
        while done.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let setup = program.kill().unwrap();
        while let Some(written) = writers.join_next().await {
            model.extend(written.unwrap());
        }
        program = setup.start().await.unwrap();
        for (name, known) in &mut model {
            check(program.control(), name, known).await;
        }
    }
    assert!(model.len() >= 10, "{}", model.len());
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_after_a_restart() {
    let program = Program::start(&[]).await.unwrap();
    program.control().register("c").await.unwrap();
    program.control().control_plane("c", "n0").await.unwrap();
    let session = session(program.control(), "c").await.unwrap();
    let mut versions = Vec::new();
    for value in 0..10 {
        let made = session.post(MAPS, &map(&format!("m{value}"), value)).await.unwrap();
        versions.push(version_of(&made.good().unwrap()));
    }
    let node = session.get("/api/v1/nodes/n0").await.unwrap().good().unwrap();
    let gone = session.delete(&format!("{MAPS}/m0")).await.unwrap();
    assert_eq!(gone.status, 200, "{gone}");
    let last = session.get(MAPS).await.unwrap().good().unwrap();
    let last: u64 = last["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();

    let program = program.kill().unwrap().start().await.unwrap();
    let session = self::session(program.control(), "c").await.unwrap();
    let same = session.get("/api/v1/nodes/n0").await.unwrap().good().unwrap();
    assert_eq!(same["metadata"], node["metadata"]);
    // From the last version seen: what comes next, and nothing between.
    let path = format!("{MAPS}?watch=1&resourceVersion={last}");
    let mut watch = session.watch(&path).await.unwrap();
    let made = session.post(MAPS, &map("later", 1)).await.unwrap().good().unwrap();
    let seen = watch.expect("ADDED").await.unwrap();
    assert_eq!(seen["metadata"], made["metadata"]);
    // From an older one: all that came since, or the answer to list again; never a gap.
    let from = versions[4];
    let path = format!("{MAPS}?watch=1&resourceVersion={from}");
    let answer = session.watch(&path).await;
    let Ok(mut watch) = answer else { return };
    let first = watch.next().await.unwrap().unwrap();
    if first["type"] == "ERROR" {
        assert_eq!(first["object"]["code"], 410, "{first}");
        return;
    }
    let mut names = vec![first["object"]["metadata"]["name"].as_str().unwrap().to_owned()];
    while names.last().unwrap() != "later" {
        let event = watch.next().await.unwrap().unwrap();
        names.push(event["object"]["metadata"]["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names, ["m5", "m6", "m7", "m8", "m9", "m0", "later"]);
}

#[tokio::test]
async fn what_was_unregistered_stays_so() {
    let program = Program::start(&[]).await.unwrap();
    let control = program.control();
    let first = control.register("gone").await.unwrap();
    control.register("stays").await.unwrap();
    control.control_plane("gone", "n0").await.unwrap();
    control.unregister("gone").await.unwrap();
    let program = program.kill().unwrap().start().await.unwrap();
    let control = program.control();
    let clusters = control.clusters().await.unwrap();
    let names: Vec<&Value> = clusters.iter().map(|cluster| &cluster["name"]).collect();
    assert_eq!(names, ["stays"]);
    assert_eq!(control.get("/register?resource=default/gone").await.unwrap().status, 404);
    // A new one of the old name is a new one.
    let again = control.register("gone").await.unwrap();
    assert_eq!(again.port(), first.port());
    let session = session(control, "gone").await.unwrap();
    let nodes = session.get("/api/v1/nodes").await.unwrap().good().unwrap();
    assert_eq!(nodes["items"], json!([]));
}

#[tokio::test]
async fn a_second_process_is_refused_the_data() {
    let setup = Setup::new().unwrap();
    let program = setup.start().await.unwrap();
    program.control().register("c").await.unwrap();
    let refused = setup.start().await.unwrap_err().to_string();
    let data = setup.data_dir().display().to_string();
    let said = refused.lines().find(|line| line.contains("fakeapi: ")).unwrap();
    assert!(said.contains(&data) && said.contains("in use by another fakeapi"), "{said}");
    let access = program.access("c").await.unwrap();
    assert_eq!(access.connect().await.unwrap().get("/livez").await.unwrap().status, 200);
}

#[tokio::test]
async fn clusters_outside_the_pools_of_a_run_are_named() {
    let setup = Setup::new().unwrap();
    let program = setup.start().await.unwrap();
    let at = program.control().register("c").await.unwrap();
    program.kill().unwrap();
    let pool = format!("{}/24", setup.slot().ip(200, 0));
    let other = setup.clone().without_pool().args(["--pool", &pool]);
    let refused = other.start().await.unwrap_err().to_string();
    assert!(refused.contains("default/c") && refused.contains(&at.ip().to_string()), "{refused}");
    let program = setup.start().await.unwrap();
    assert_eq!(program.control().register("c").await.unwrap(), at);
}

/// The files that records were appended to, by their sizes before.
fn grown(setup: &Setup, before: &BTreeMap<PathBuf, u64>) -> Vec<(PathBuf, u64, u64)> {
    let now = sizes(setup);
    now.into_iter()
        .filter_map(|(path, size)| {
            let was = before.get(&path).copied().unwrap_or_default();
            (size > was).then_some((path, was, size))
        })
        .collect()
}

fn sizes(setup: &Setup) -> BTreeMap<PathBuf, u64> {
    fn walk(directory: PathBuf, found: &mut BTreeMap<PathBuf, u64>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(path, found);
            } else {
                let size = fs::metadata(&path).unwrap().len();
                found.insert(path, size);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(setup.data_dir(), &mut found);
    found
}

#[tokio::test]
async fn a_torn_tail_costs_what_was_cut_and_nothing_else() {
    let setup = Setup::new().unwrap();
    let program = setup.start().await.unwrap();
    let control = program.control();
    for number in 0..4 {
        control.register(&format!("c{number}")).await.unwrap();
    }
    let session = session(control, "c0").await.unwrap();
    session.post(MAPS, &map("kept", 1)).await.unwrap().good().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = sizes(&setup);
    session.post(MAPS, &map("cut", 2)).await.unwrap().good().unwrap();
    program.kill().unwrap();

    // Garbage after the end: nothing is lost.
    let [(file, was, size)] = &grown(&setup, &before)[..] else {
        panic!("{:?}", grown(&setup, &before))
    };
    OpenOptions::new().append(true).open(file).unwrap().write_all(b"garbage \xff\x00").unwrap();
    let program = setup.start().await.unwrap();
    let said = program.log();
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name), "{name} is not named in: {said}");
    for map in ["kept", "cut"] {
        let session = self::session(program.control(), "c0").await.unwrap();
        assert_eq!(session.get(&format!("{MAPS}/{map}")).await.unwrap().status, 200, "{map}");
    }
    program.kill().unwrap();

    // The last record broken off: it alone is lost.
    assert!(fs::metadata(file).unwrap().len() >= *size);
    OpenOptions::new().write(true).open(file).unwrap().set_len((was + size) / 2).unwrap();
    let program = setup.start().await.unwrap();
    let session = self::session(program.control(), "c0").await.unwrap();
    assert_eq!(session.get(&format!("{MAPS}/kept")).await.unwrap().status, 200);
    assert_eq!(session.get(&format!("{MAPS}/cut")).await.unwrap().status, 404);
    assert_eq!(program.control().clusters().await.unwrap().len(), 4);
    // And the journal goes on.
    session.post(MAPS, &map("next", 3)).await.unwrap().good().unwrap();
    let program = program.kill().unwrap().start().await.unwrap();
    let session = self::session(program.control(), "c0").await.unwrap();
    assert_eq!(session.get(&format!("{MAPS}/next")).await.unwrap().status, 200);
}

#[tokio::test]
async fn authorities_and_a_wanted_address_survive() {
    use fakeapi_tests::openssl::{Authority, KeyForm};
    let setup = Setup::new().unwrap();
    let program = setup.start().await.unwrap();
    let ca = Authority::make(KeyForm::RsaPkcs1, "ca").unwrap();
    let wanted = format!("{}:{}", setup.slot().ip(3, 3), setup.slot().port());
    let wish = json!({
        "address": wanted, "caCert": ca.certificate_base64(), "caKey": ca.key_base64(),
        "version": "v1.31.2",
    });
    let first = program.control().try_register("c", &wish).await.unwrap();
    address(&first).unwrap();
    let secrets = program.control().get("/secrets?resource=default/c").await.unwrap().text();
    let program = program.kill().unwrap().start().await.unwrap();
    let again = program.control().try_register("c", &wish).await.unwrap();
    assert_eq!(again.text(), first.text());
    let after = program.control().get("/secrets?resource=default/c").await.unwrap().text();
    assert_eq!(after, secrets);
    let session = session(program.control(), "c").await.unwrap();
    let version = session.get("/version").await.unwrap().good().unwrap();
    assert_eq!(version["gitVersion"], "v1.31.2");
}

/// Starts that end before they are over: what they do to the files must be whole at every moment.
#[tokio::test]
async fn a_start_may_be_cut_at_any_moment() {
    let setup = Setup::new().unwrap();
    let program = setup.start().await.unwrap();
    let control = program.control();
    let mut model = BTreeMap::new();
    let done = AtomicU64::new(0);
    for number in 0..6 {
        fill(control, &format!("c{number}"), &mut model, &done).await.unwrap();
    }
    program.kill().unwrap();
    // Something to repair, so that there is something to be cut in.
    let files: Vec<PathBuf> =
        sizes(&setup).into_iter().filter(|(_, size)| *size > 0).map(|(path, _)| path).collect();
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "log")) {
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"torn").unwrap();
    }
    for after in [5, 15, 30, 60, 90, 120, 180, 250, 350, 500] {
        setup.interrupted(Duration::from_millis(after)).unwrap();
    }
    let program = setup.start().await.unwrap();
    for (name, known) in &mut model {
        check(program.control(), name, known).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_that_come_and_go_never_share_an_address() {
    let setup = Setup::new().unwrap().without_pool();
    // Few addresses, so that they are used again and again.
    let pool = format!("{}/27", setup.slot().ip(5, 0));
    let mut program = setup.args(["--pool", &pool]).start().await.unwrap();
    for round in 0..3_u64 {
        let done = Arc::new(AtomicU64::new(0));
        let mut churners = JoinSet::new();
        for writer in 0..4 {
            churners.spawn(churn(*program.control(), format!("r{round}-w{writer}"), done.clone()));
        }
        while done.load(Ordering::Relaxed) < 60 + round * 23 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let setup = program.kill().unwrap();
        let known: Vec<Churned> = churners.join_all().await;
        program = setup.start().await.unwrap();
        let clusters = program.control().clusters().await.unwrap();
        let at: BTreeMap<&str, &str> = clusters
            .iter()
            .map(|cluster| {
                (cluster["address"].as_str().unwrap(), cluster["name"].as_str().unwrap())
            })
            .collect();
        assert_eq!(at.len(), clusters.len(), "an address is given twice: {clusters:?}");
        for churned in known {
            for (name, address) in &churned.there {
                assert_eq!(at.get(address.to_string().as_str()), Some(&name.as_str()));
            }
            for name in &churned.gone {
                assert!(!at.values().any(|there| there == name), "{name} is back");
            }
        }
        for cluster in &clusters {
            program.control().unregister(cluster["name"].as_str().unwrap()).await.unwrap();
        }
    }
}

/// What was acknowledged of clusters that come and go.
#[derive(Debug, Default)]
struct Churned {
    there: BTreeMap<String, SocketAddr>,
    gone: Vec<String>,
}

/// Registers and unregisters until the power goes; at most four clusters are there at once.
async fn churn(control: Control, prefix: String, done: Arc<AtomicU64>) -> Churned {
    let mut churned = Churned::default();
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        let Ok(at) = control.register(&name).await else { break };
        churned.there.insert(name, at);
        if churned.there.len() > 3 {
            let (oldest, _) = churned.there.pop_first().unwrap();
            if control.unregister(&oldest).await.is_err() {
                // It may be gone or not.
                break;
            }
            churned.gone.push(oldest);
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    churned
}
