use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use serde_json::json;

use super::*;
use crate::manage::testing::ManagementApi;

const LEASES: &str = "coordination.k8s.io/v1/leases";

/// Fast, in client-go's proportions.
const TIMES: Times = Times {
    duration: Duration::from_millis(1500),
    renew_within: Duration::from_secs(1),
    retry: Duration::from_millis(100),
};

async fn management() -> Arc<ManagementApi> {
    let api = ManagementApi::start().await;
    api.serve_kind(LEASES);
    api
}

fn spec(api: &ManagementApi) -> serde_json::Value {
    api.get(LEASES, "ns/l").unwrap()["spec"].clone()
}

/// One that wants to lead, and counts how many do.
struct Candidate {
    stop: CancellationToken,
    leads: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

fn candidate(api: &ManagementApi, identity: &str, leads: &Arc<AtomicUsize>) -> Candidate {
    let mut lease = Lease::new(Api::namespaced(api.client(), "ns"), "l", identity, TIMES);
    let stop = CancellationToken::new();
    let (token, counter) = (stop.clone(), leads.clone());
    let task = tokio::spawn(async move {
        let act = |term: CancellationToken| {
            let counter = counter.clone();
            async move {
                counter.fetch_add(1, Ordering::SeqCst);
                term.cancelled().await;
                counter.fetch_sub(1, Ordering::SeqCst);
            }
            .boxed()
        };
        lease.lead(&token, act).await;
    });
    Candidate { stop, leads: leads.clone(), task }
}

impl Candidate {
    async fn until(&self, leaders: usize) {
        for _ in 0..500 {
            if self.leads.load(Ordering::SeqCst) == leaders {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never {leaders} leaders");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_leads_and_the_next_follows_at_once_when_the_lease_is_given_back() {
    let api = management().await;
    let leads = Arc::default();
    let first = candidate(&api, "one", &leads);
    first.until(1).await;
    let begun = spec(&api);
    assert_eq!((&begun["holderIdentity"], &begun["leaseTransitions"]), (&json!("one"), &json!(0)));
    // MicroTime: six digits after the second, and Z.
    let time = begun["renewTime"].as_str().unwrap();
    assert_eq!((time.len(), &time[19..20], &time[26..]), (27, ".", "Z"), "{time}");
    let second = candidate(&api, "two", &leads);
    tokio::time::sleep(TIMES.duration * 2).await;
    assert_eq!(leads.load(Ordering::SeqCst), 1);
    let renewed = spec(&api);
    assert_eq!(renewed["holderIdentity"], "one");
    assert_eq!(renewed["acquireTime"], begun["acquireTime"]);
    assert_ne!(renewed["renewTime"], begun["renewTime"]);

    first.stop.cancel();
    first.task.await.unwrap();
    let given_back = Instant::now();
    second.until(1).await;
    assert!(given_back.elapsed() < TIMES.duration / 2, "{:?}", given_back.elapsed());
    let taken = spec(&api);
    assert_eq!((&taken["holderIdentity"], &taken["leaseTransitions"]), (&json!("two"), &json!(1)));
    second.stop.cancel();
    second.task.await.unwrap();
    assert_eq!(spec(&api)["holderIdentity"], "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_cannot_renew_stops_before_another_may_begin_and_comes_back() {
    let api = management().await;
    let leads = Arc::default();
    let holder = candidate(&api, "one", &leads);
    holder.until(1).await;
    api.set_down(true);
    let down = Instant::now();
    holder.until(0).await;
    let took = down.elapsed();
    assert!(took < TIMES.duration, "{took:?}");
    assert!(took > TIMES.renew_within / 2, "one failure is not the end: {took:?}");
    api.set_down(false);
    holder.until(1).await;
    assert_eq!(spec(&api)["leaseTransitions"], 0, "it was its own all the time");
    holder.stop.cancel();
    holder.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_gone_is_followed_after_the_duration_and_one_that_was_robbed_stops() {
    let api = management().await;
    let mut held = json!({
        "metadata": {"namespace": "ns", "name": "l"},
        // By its own time long expired: other machines' clocks do not count.
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15, "leaseTransitions": 4,
            "renewTime": "2020-01-01T00:00:00.000000Z"},
    });
    api.put(LEASES, held.clone());
    let leads = Arc::default();
    let began = Instant::now();
    let heir = candidate(&api, "heir", &leads);
    heir.until(1).await;
    assert!(began.elapsed() >= TIMES.duration, "{:?}", began.elapsed());
    assert_eq!(spec(&api)["leaseTransitions"], 5);

    held["spec"]["holderIdentity"] = "robber".into();
    api.put(LEASES, held);
    let robbed = Instant::now();
    heir.until(0).await;
    assert!(robbed.elapsed() < TIMES.renew_within, "{:?}", robbed.elapsed());
    heir.stop.cancel();
    heir.task.await.unwrap();
    assert_eq!(spec(&api)["holderIdentity"], "robber", "what is not held is not given back");
}
