//! Rules as documents, and what they do to one cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::register::ClusterName;
use crate::serve::outage::Outage;

fn rule(value: Value) -> Rule {
    Rule::read(value).unwrap()
}

fn effects_of(rules: &[Value], cluster: &str) -> Option<Arc<Effects>> {
    let now = Timestamp::now();
    let entries: Vec<Arc<Entry>> =
        rules.iter().map(|value| Arc::new(Entry::new(rule(value.clone()), now))).collect();
    let name = ClusterName::new("ns", cluster);
    Effects::of(&entries, &name, &BTreeMap::new(), None, now)
}

fn ask(method: &str, uri: &str) -> Request<()> {
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

#[test]
fn every_wrong_field_is_named_with_its_path() {
    let long = "x".repeat(2000);
    let error = |more: Value| json!({"apiServer": {"errors": [more]}});
    let cases = [
        (json!([]), "must not be a list"),
        (json!({"selector": []}), "selector: must not be a list"),
        (error(json!([500])), "apiServer.errors[0]: must not be a list"),
        (json!("x"), "invalid type"),
        (json!({"name": "A"}), "name: must be"),
        (json!({"name": "-a"}), "name: must be"),
        (json!({"more": 1}), "more: unknown field"),
        (json!({"seed": -1}), "seed: invalid value"),
        (json!({"selector": {"share": 1.5}}), "selector.share: must be 0 to 1"),
        (json!({"selector": {"names": [""]}}), "selector.names[0]: must have 1 to"),
        (json!({"selector": {"names": [long]}}), "selector.names[0]: must have 1 to"),
        (json!({"selector": {"match": {}}}), "selector.match: unknown field"),
        (json!({"expireAfter": "5"}), "expireAfter: \"5\" is no duration"),
        (json!({"expireAfter": "9000h"}), "expireAfter: must be"),
        (json!({"apiServer": {"latency": {}}}), "apiServer.latency.mean: is required"),
        (
            json!({"apiServer": {"latency": {"mean": "1s", "alpha": 2}}}),
            "apiServer.latency.alpha: does not go with",
        ),
        (json!({"apiServer": {"latency": {"mean": "11m"}}}), "apiServer.latency.mean: may be 10m"),
        (
            json!({"apiServer": {"latency":
                {"distribution": "uniform", "min": "2s", "max": "1s"}}}),
            "apiServer.latency.max: is less than min",
        ),
        (
            json!({"apiServer": {"latency": {"distribution": "gamma"}}}),
            "apiServer.latency.distribution: unknown variant",
        ),
        (error(json!({})), "apiServer.errors[0]: missing field `code`"),
        (error(json!({"code": 200})), "apiServer.errors[0].code: must be 400 to 599"),
        (error(json!({"code": 500, "rate": 2})), "apiServer.errors[0].rate: must be 0 to 1"),
        (error(json!({"code": 500, "reason": "Bad"})), "apiServer.errors[0].reason: is no reason"),
        (
            error(json!({"code": 500, "retryAfter": "1.5s"})),
            "apiServer.errors[0].retryAfter: must be whole",
        ),
        (
            error(json!({"code": 500, "requests": {"verbs": ["read"]}})),
            "apiServer.errors[0].requests.verbs[0]: \"read\" is no verb",
        ),
        (json!({"apiServer": {"errors": vec![json!({"code": 500}); 65]}}), "has more than 64"),
        (json!({"apiServer": {"outage": {"kind": "nap"}}}), "apiServer.outage.kind: unknown"),
        (json!({"apiServer": {"outage": {"kind": "hang", "for": "1ms"}}}), "outage.for: must be"),
        (json!({"apiServer": {"certificate": {}}}), "apiServer.certificate: needs either"),
        (
            json!({"etcd": {"latency": {"mean": "1s", "requests": {}}}}),
            "etcd.latency.requests: goes with the API server only",
        ),
        (
            json!({"etcd": {"leaderLoss": {"every": "5s", "electionDuration": "6s"}}}),
            "etcd.leaderLoss.electionDuration: is not below every",
        ),
        (json!({"node": {"provisioning": {}}}), "node.provisioning: missing field"),
        (
            json!({"node": {"flapping": {"upFor": "1ms", "downFor": "1s"}}}),
            "node.flapping.upFor: must be",
        ),
    ];
    for (mut value, expected) in cases {
        if let Some(object) = value.as_object_mut() {
            object.entry("name").or_insert("r".into());
        }
        let text = value.to_string();
        let refused = Rule::read(value).expect_err(&text).to_string();
        assert!(refused.contains(expected), "{text}\n{refused}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let value = json!({"name": "", "selector": {"share": 2}, "apiServer": {"latency": {}}});
    assert_eq!(Rule::read(value).unwrap_err().0.len(), 3);
}

#[test]
fn a_rule_comes_back_as_it_was_given() {
    let value = json!({
        "name": "all", "seed": 3, "expireAfter": "1h0m0s",
        "selector": {"namespaces": ["a*"], "matchLabels": {"k": "v"}, "share": 0.5},
        "apiServer": {
            "latency": {"distribution": "normal", "mean": "50ms", "deviation": "10ms",
                        "requests": {"verbs": ["list"]}},
            "errors": [{"requests": {"nonResourceURLs": ["/"]}, "rate": 0.1, "code": 503,
                        "retryAfter": "1s"}],
            "outage": {"kind": "tlsFailure", "for": "2m0s"},
            "certificate": {"expireAfter": "0s"},
        },
        "etcd": {"latency": {"distribution": "constant", "mean": "5ms"}, "errorRate": 0.1,
                 "leaderLoss": {"every": "1m0s", "jitter": 0.2, "electionDuration": "3s"}},
        "node": {"provisioning": {"startupDuration": "30s", "startupJitter": 0.2},
                 "flapping": {"share": 0.1, "upFor": "5m0s", "downFor": "1m0s", "jitter": 0.5,
                              "as": "NotReady"}},
    });
    assert_eq!(serde_json::to_value(rule(value.clone())).unwrap(), value);
}

/// Mean and quantiles of a latency, in seconds.
fn spread(latency: Value) -> (f64, [f64; 3]) {
    let latency: Latency = serde_json::from_value(latency).unwrap();
    let seed = Seed::new(42);
    let draw = |n| latency.draw(seed.nth(n)).as_secs_f64();
    let mut draws: Vec<f64> = (0..100_000).map(draw).collect();
    draws.sort_by(f64::total_cmp);
    let mean = draws.iter().sum::<f64>() / 100_000.0;
    (mean, [draws[50_000], draws[90_000], draws[99_000]])
}

#[test]
fn distributions_are_what_they_are_called() {
    let cases = [
        (json!({"mean": "2s"}), 2.0, [2.0, 2.0, 2.0]),
        (json!({"distribution": "uniform", "min": "1s", "max": "3s"}), 2.0, [2.0, 2.8, 2.98]),
        (
            json!({"distribution": "normal", "mean": "10s", "deviation": "1s"}),
            10.0,
            [10.0, 11.2816, 12.3263],
        ),
        (
            json!({"distribution": "exponential", "mean": "1s"}),
            1.0,
            [2_f64.ln(), 10_f64.ln(), 100_f64.ln()],
        ),
        // The mean is alpha / (alpha - 1), a quantile q is (1 - q) to the power of -1/alpha.
        (
            json!({"distribution": "pareto", "min": "1s", "alpha": 4}),
            1.3333,
            [1.1892, 1.7783, 3.1623],
        ),
    ];
    for (latency, mean, quantiles) in cases {
        let text = latency.to_string();
        let (drawn_mean, drawn) = spread(latency);
        assert!((drawn_mean / mean - 1.0).abs() < 0.02, "{text}: mean {drawn_mean}");
        for (drawn, expected) in drawn.into_iter().zip(quantiles) {
            assert!((drawn / expected - 1.0).abs() < 0.03, "{text}: {drawn}, not {expected}");
        }
    }
}

#[test]
fn latencies_stay_within_their_bounds() {
    let (_, [_, _, high]) =
        spread(json!({"distribution": "exponential", "mean": "1s", "max": "2s"}));
    assert!((high - 2.0).abs() < 1e-9);
    let below = json!({"distribution": "normal", "mean": "1ms", "deviation": "1s"});
    assert!(spread(below).1[0] < 0.1);
    let wild: Latency =
        serde_json::from_value(json!({"distribution": "pareto", "min": "1m", "alpha": 0.1}))
            .unwrap();
    let most = (0..1000).map(|n| wild.draw(Seed::new(n))).max().unwrap();
    assert_eq!(most, limits::LATENCY_MAX);
}

fn verdicts(effects: &Effects, count: usize) -> Vec<Verdict> {
    (0..count).map(|_| effects.on_request(&ask("GET", "/api/v1/nodes"))).collect()
}

#[test]
fn the_same_rule_has_the_same_effects() {
    let value = |seed: u64| {
        json!({"name": "r", "seed": seed, "apiServer": {
            "latency": {"distribution": "exponential", "mean": "1ms"},
            "errors": [{"rate": 0.2, "code": 500}],
        }})
    };
    let first = verdicts(&effects_of(&[value(1)], "c").unwrap(), 500);
    assert_eq!(first, verdicts(&effects_of(&[value(1)], "c").unwrap(), 500));
    assert_ne!(first, verdicts(&effects_of(&[value(2)], "c").unwrap(), 500));
    assert_ne!(first, verdicts(&effects_of(&[value(1)], "d").unwrap(), 500));
    // Requests that the rule is not about come between and change nothing.
    let only = json!({"name": "r", "seed": 1, "apiServer": {"errors": [
        {"rate": 0.2, "code": 500, "requests": {"resources": ["nodes"]}}]}});
    let (alone, mixed) =
        (effects_of(std::slice::from_ref(&only), "c").unwrap(), effects_of(&[only], "c").unwrap());
    let expected = verdicts(&alone, 200);
    for expected in expected {
        assert_eq!(mixed.on_request(&ask("GET", "/")), Verdict::default());
        assert_eq!(mixed.on_request(&ask("GET", "/api/v1/nodes")), expected);
    }
}

#[test]
fn errors_come_as_often_as_their_rate_says() {
    let value = json!({"name": "r", "apiServer": {"errors": [{"rate": 0.1, "code": 500}]}});
    let effects = effects_of(&[value], "c").unwrap();
    let refused = verdicts(&effects, 10_000).iter().filter(|v| v.refusal.is_some()).count();
    assert!((900..1100).contains(&refused), "{refused}");
    assert_eq!(effects.active()[0].entry.counts.of(Effect::Error), refused as u64);
}

#[test]
fn a_refusal_is_a_proper_status() {
    let status = |error: Value| {
        let value = json!({"name": "r", "apiServer": {"errors": [error]}});
        let effects = effects_of(&[value], "c").unwrap();
        effects.on_request(&ask("GET", "/")).refusal.unwrap()
    };
    let plain = status(json!({"code": 429}));
    assert_eq!((plain.reason, plain.retry_after), ("TooManyRequests", None));
    let full = status(json!({"code": 500, "reason": "ServerTimeout", "message": "m",
                             "retryAfter": "2s"}));
    assert_eq!((full.reason, full.message.as_str()), ("ServerTimeout", "m"));
    assert_eq!(full.retry_after, Some(2));
    assert_eq!(full.json()["details"]["retryAfterSeconds"], 2);
    assert_eq!(status(json!({"code": 502})).reason, "InternalError");
    assert_eq!(status(json!({"code": 418})).reason, "");
}

#[test]
fn rules_add_up_and_the_first_outage_counts() {
    let slow = |name: &str| json!({"name": name, "apiServer": {"latency": {"mean": "10ms"}}});
    let effects = effects_of(&[slow("a"), slow("b")], "c").unwrap();
    let verdict = effects.on_request(&ask("GET", "/"));
    assert_eq!(verdict, Verdict { delay: Duration::from_millis(20), refusal: None });
    let out =
        |name: &str, kind: &str| json!({"name": name, "apiServer": {"outage": {"kind": kind}}});
    let effects = effects_of(&[slow("a"), out("b", "hang"), out("c", "refuse")], "c").unwrap();
    assert_eq!(effects.outage(), Some(Outage::Hang));
    assert!(effects_of(&[], "c").is_none());
    let other = json!({"name": "r", "selector": {"names": ["x"]}});
    assert!(effects_of(&[other], "c").is_none());
}

#[test]
fn an_outage_ends_when_its_time_is_over() {
    let value = json!({"name": "r", "apiServer": {"outage": {"kind": "refuse", "for": "1m"}}});
    let applied = Timestamp::now();
    let entry = Entry::new(rule(value), applied);
    let after = |seconds| entry.outage(applied + Duration::from_secs(seconds));
    assert_eq!(
        (after(0), after(59), after(60)),
        (Some(Outage::Refuse), Some(Outage::Refuse), None)
    );
}

#[test]
fn booting_and_flapping_follow_from_the_seed() {
    let value = json!({"name": "r", "seed": 5, "node": {
        "provisioning": {"startupDuration": "10s", "startupJitter": "0.5"},
        "flapping": {"share": 0.5, "upFor": "10s", "downFor": "4s", "jitter": 0.5},
    }});
    let (one, two) = (
        effects_of(std::slice::from_ref(&value), "c").unwrap(),
        effects_of(&[value], "c").unwrap(),
    );
    let mut flapping = 0;
    for node in 0..200 {
        let node = format!("n{node}");
        let startup = one.startup(&node);
        assert!((10.0..15.0).contains(&startup.as_secs_f64()), "{startup:?}");
        assert_eq!(startup, two.startup(&node));
        let (one, two) = (&one.active()[0], &two.active()[0]);
        assert_eq!(one.flaps(&node), two.flaps(&node));
        flapping += u32::from(one.flaps(&node));
        for turn in 0..6 {
            let wait = one.flap_wait(&node, turn);
            assert_eq!(wait, two.flap_wait(&node, turn));
            let range = match turn {
                0 => 0.0..10.0,
                2 | 4 => 10.0..15.0,
                _ => 4.0..6.0,
            };
            assert!(range.contains(&wait.as_secs_f64()), "{turn}: {wait:?}");
        }
    }
    assert!((70..130).contains(&flapping), "{flapping}");
}

#[test]
fn a_leader_is_lost_for_as_long_as_an_election_takes() {
    let value = json!({"name": "r", "etcd": {
        "latency": {"mean": "7ms"}, "errorRate": 1,
        "leaderLoss": {"every": "1m", "electionDuration": "3s"},
    }});
    let effects = effects_of(&[value], "c").unwrap();
    let now = Timestamp::now();
    let verdict = effects.on_etcd_call(now);
    assert_eq!(
        verdict,
        EtcdVerdict { delay: Duration::from_millis(7), fails: true, leaderless: false }
    );
    let rule = &effects.active()[0];
    assert_eq!(rule.leader_wait(0), Some(Duration::from_mins(1)));
    assert_eq!(rule.lose_leader(now), Duration::from_secs(3));
    assert!(effects.on_etcd_call(now + Duration::from_secs(2)).leaderless);
    assert!(!effects.on_etcd_call(now + Duration::from_secs(4)).leaderless);
}

#[test]
fn counts_and_draws_outlive_a_change_of_other_rules() {
    let value = json!({"name": "r", "apiServer": {"errors": [{"rate": 0.5, "code": 500}]}});
    let now = Timestamp::now();
    let entry = Arc::new(Entry::new(rule(value.clone()), now));
    let name = ClusterName::new("ns", "c");
    let labels = BTreeMap::new();
    let of = |entries: &[Arc<Entry>], before: Option<&Effects>| {
        Effects::of(entries, &name, &labels, before, now).unwrap()
    };
    let before = of(std::slice::from_ref(&entry), None);
    let mut drawn = verdicts(&before, 10);
    let other = Arc::new(Entry::new(rule(json!({"name": "z"})), now));
    let after = of(&[entry.clone(), other], Some(&before));
    drawn.extend(verdicts(&after, 10));
    assert_eq!(drawn, verdicts(&effects_of(&[value], "c").unwrap(), 20));
    assert_eq!(entry.counts.clusters(), 1);
    drop((before, after));
    assert_eq!(entry.counts.clusters(), 0);
}
