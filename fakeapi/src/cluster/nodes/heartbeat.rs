//! The signs of life of a kubelet, computed when somebody looks.
//!
//! A kubelet renews its lease every ten seconds and posts its status every five minutes. Nobody
//! can tell whether that was written down at the time or is worked out from the clock now, except
//! by the resourceVersion, which stays; so no timer runs for any node.

use std::ops::Range;

use jiff::Timestamp;

/// How often a kubelet renews its lease, in seconds.
pub const LEASE_PERIOD: i64 = 10;

/// How often a kubelet posts its status when nothing changes, in seconds.
pub const STATUS_PERIOD: i64 = 5 * 60;

/// The conditions a kubelet posts; others have heartbeats of their own makers.
const CONDITIONS: [&[u8]; 4] = [b"MemoryPressure", b"DiskPressure", b"PIDPressure", b"Ready"];

/// When a kubelet that came at `created` last posted its status.
pub(super) fn last_status(created: i64, now: i64) -> i64 {
    let age = (now - created).max(0);
    created + age - age % STATUS_PERIOD
}

/// When a kubelet that came at `created` last renewed its lease, in whole seconds; `phase` is
/// its own place in the period.
pub(crate) fn last_renewal(created: i64, phase: i64, now: i64) -> i64 {
    (now - (now - phase).rem_euclid(LEASE_PERIOD)).max(created)
}

/// A second since 1970 as objects have it, always 20 characters long in this century.
pub(crate) fn rfc3339(second: i64) -> String {
    let clamped = second.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(clamped).expect("a clamped second is in range").to_string()
}

/// The same with microseconds, always 27 characters long.
pub(crate) fn rfc3339_micros(second: i64, micros: u32) -> String {
    let text = rfc3339(second);
    format!("{}.{micros:06}Z", text.trim_end_matches('Z'))
}

/// A Node's bytes with the heartbeats of the kubelet's conditions set to `beat`, where they are
/// older and the condition is one that a live kubelet posts; `None` when nothing changes.
///
/// Only strings that are as long as `beat` are overwritten, so nothing moves.
pub(crate) fn beat_node(json: &[u8], beat: &str) -> Option<Vec<u8>> {
    let mut out = None;
    for condition in conditions(json) {
        let Condition { kind, status, heartbeat: Some(heartbeat) } = condition else {
            continue;
        };
        // "Unknown" is the node controller's word for a kubelet that is silent.
        let alive = CONDITIONS.contains(&&json[kind]) && &json[status] != b"Unknown";
        let old = &json[heartbeat.clone()];
        if alive && old.len() == beat.len() && old < beat.as_bytes() {
            let out: &mut Vec<u8> = out.get_or_insert_with(|| json.to_vec());
            out[heartbeat].copy_from_slice(beat.as_bytes());
        }
    }
    out
}

/// A Lease's bytes with `renewTime` set to `beat`, if `holder` still holds it and it is older;
/// `None` when nothing changes.
pub(crate) fn beat_lease(json: &[u8], holder: &str, beat: &str) -> Option<Vec<u8>> {
    let spec = find(json, b"\"spec\":{", 0)?;
    let mut held = false;
    let mut renewed = None;
    Walk::new(json, spec - 1).object(&mut |key, value| match key {
        b"holderIdentity" => held = &json[value] == holder.as_bytes(),
        b"renewTime" => renewed = Some(value),
        _ => {}
    })?;
    let renewed = renewed.filter(|_| held)?;
    let old = &json[renewed.clone()];
    (old.len() == beat.len() && old < beat.as_bytes()).then(|| {
        let mut out = json.to_vec();
        out[renewed].copy_from_slice(beat.as_bytes());
        out
    })
}

/// Where the strings of one condition are.
#[derive(Default)]
struct Condition {
    kind: Range<usize>,
    status: Range<usize>,
    heartbeat: Option<Range<usize>>,
}

/// The conditions of a Node, as far as they are well formed.
///
/// A key between unescaped quotes cannot stand inside a string, so finding its bytes is finding
/// the key.
fn conditions(json: &[u8]) -> Vec<Condition> {
    let mut found = Vec::new();
    let Some(status) = find(json, b"\"status\":{", 0) else {
        return found;
    };
    let Some(start) = find(json, b"\"conditions\":[", status) else {
        return found;
    };
    let mut walk = Walk::new(json, start);
    while json.get(walk.at) == Some(&b'{') {
        let mut condition = Condition::default();
        let whole = walk.object(&mut |key, value| match key {
            b"type" => condition.kind = value,
            b"status" => condition.status = value,
            b"lastHeartbeatTime" => condition.heartbeat = Some(value),
            _ => {}
        });
        if whole.is_none() {
            break;
        }
        found.push(condition);
        if json.get(walk.at) != Some(&b',') {
            break;
        }
        walk.at += 1;
    }
    found
}

/// Where `needle` ends, from `from` on.
fn find(json: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let at = json[from..].windows(needle.len()).position(|window| window == needle)?;
    Some(from + at + needle.len())
}

/// A walk through compact JSON.
struct Walk<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn new(json: &'a [u8], at: usize) -> Self {
        Self { json, at }
    }

    /// Passes over an object, telling its keys and where the string values are; `None` when it
    /// is not compact JSON.
    fn object(&mut self, tell: &mut dyn FnMut(&[u8], Range<usize>)) -> Option<()> {
        self.expect(b'{')?;
        if self.json.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            if self.json.get(self.at) == Some(&b'"') {
                let value = self.string()?;
                tell(&self.json[key], value);
            } else {
                self.skip()?;
            }
            self.at += 1;
            match self.json.get(self.at - 1)? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Passes over a value that is no string, up to the comma or bracket behind it.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.json.get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' if depth == 0 => return Some(()),
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Passes over a string and tells where its inside is.
    fn string(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.json.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(start..self.at - 1)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.json.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }
}

#[cfg(test)]
mod tests {
    use apiserver::storage::Object;
    use pretty_assertions::assert_eq;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn beats_come_at_their_periods_and_not_before_the_node() {
        for (now, status, renewal) in [
            (990, 1000, 1000),
            (1000, 1000, 1000),
            (1002, 1000, 1000),
            (1003, 1000, 1003),
            (1012, 1000, 1003),
            (1013, 1000, 1013),
            (1299, 1000, 1293),
            (1300, 1300, 1293),
        ] {
            assert_eq!(last_status(1000, now), status, "{now}");
            assert_eq!(last_renewal(1000, 3, now), renewal, "{now}");
        }
    }

    #[test]
    fn times_have_one_width() {
        assert_eq!(rfc3339(1_795_000_000), "2026-11-18T11:06:40Z");
        assert_eq!(rfc3339_micros(1_795_000_000, 42), "2026-11-18T11:06:40.000042Z");
    }

    fn node() -> Value {
        let trap = "\"status\":{\"conditions\":[{\"lastHeartbeatTime\":\"2026-01-01T00:00:00Z\",\"type\":\"Ready\"}]}";
        let condition = |kind: &str, status: &str, beat: &str| {
            json!({"type": kind, "status": status, "message": "a \\ {brace\" ]", "lastHeartbeatTime": beat,
                "other": {"type": "x", "n": [1, "]"]}})
        };
        json!({
            "kind": "Node", "apiVersion": "v1",
            "metadata": {"name": "n", "annotations": {"trap": trap}},
            "status": {"conditions": [
                condition("MemoryPressure", "False", "2026-01-01T00:00:00Z"),
                condition("DiskPressure", "Unknown", "2026-01-01T00:00:00Z"),
                condition("PIDPressure", "False", "2026-01-01T00:00:00.5Z"),
                condition("KernelDeadlock", "False", "2026-01-01T00:00:00Z"),
                condition("Ready", "True", "2026-03-01T00:00:00Z"),
                {"type": "Bare"},
            ], "phase": "x"},
        })
    }

    #[test]
    fn only_the_kubelets_own_older_beats_move() {
        let object = Object::encode(&node());
        let mut expected = node();
        expected["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-02-01T00:00:00Z".into();
        let out = beat_node(object.json(), "2026-02-01T00:00:00Z").unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
        assert_eq!(beat_node(&out, "2026-02-01T00:00:00Z"), None);
        expected["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-04-01T00:00:00Z".into();
        expected["status"]["conditions"][4]["lastHeartbeatTime"] = "2026-04-01T00:00:00Z".into();
        let out = beat_node(&out, "2026-04-01T00:00:00Z").unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
    }

    #[test]
    fn what_is_no_node_stays() {
        for text in [
            "",
            "{}",
            r#"{"status":{}}"#,
            r#"{"status":{"conditions":[{"#,
            r#"{"status":{"conditions":[{"a":1"#,
        ] {
            assert_eq!(beat_node(text.as_bytes(), "2026-02-01T00:00:00Z"), None, "{text}");
            assert_eq!(beat_lease(text.as_bytes(), "n", "x"), None, "{text}");
        }
    }

    #[test]
    fn a_lease_beats_for_its_holder() {
        let lease = |holder: &str, renewed: &str| {
            json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
                "metadata": {"name": "n"},
                "spec": {"holderIdentity": holder, "leaseDurationSeconds": 40, "renewTime": renewed}})
        };
        let (old, new) = ("2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:10.000000Z");
        let beat = |value: &Value, at| beat_lease(Object::encode(value).json(), "n", at);
        let out = beat(&lease("n", old), new).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), lease("n", new));
        assert_eq!(beat(&lease("other", old), new), None);
        assert_eq!(beat(&lease("n", new), old), None);
        assert_eq!(beat(&lease("n", new), new), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_walk(edits in proptest::collection::vec((0..900_usize, 0..128_u8), 0..6)) {
            let mut json = Object::encode(&node()).json().to_vec();
            for (at, byte) in edits {
                let at = at % json.len();
                json[at] = byte;
            }
            if let Some(out) = beat_node(&json, "2027-01-01T00:00:00Z") {
                proptest::prop_assert_eq!(out.len(), json.len());
            }
        }
    }
}
