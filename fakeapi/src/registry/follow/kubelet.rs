//! What a kubelet writes about a pod that it runs.

use std::net::IpAddr;

use serde_json::{Value, json};
use uuid::Uuid;

/// Where a pod runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The node's address.
    pub(super) host: IpAddr,
    /// The pod's own, unless it uses the node's.
    pub(super) own: IpAddr,
}

/// `pod` as it is when all its containers run; `None` when it is no pod that waits for this.
pub(super) fn started(pod: &Value, place: Place, at: &str) -> Option<Value> {
    let waits = matches!(pod["status"]["phase"].as_str(), Some("Pending") | None);
    if !waits || pod["metadata"].get("deletionTimestamp").is_some() {
        return None;
    }
    let mut started = pod.clone();
    let ip = if pod["spec"]["hostNetwork"] == true { place.host } else { place.own };
    let status = started["status"].as_object_mut()?;
    status.insert("phase".into(), "Running".into());
    status.insert("hostIP".into(), json!(place.host));
    status.insert("hostIPs".into(), json!([{"ip": place.host}]));
    status.insert("podIP".into(), json!(ip));
    status.insert("podIPs".into(), json!([{"ip": ip}]));
    status.insert("startTime".into(), at.into());
    status.insert("conditions".into(), conditions(&pod["status"]["conditions"], at));
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    for (list, field) in
        [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")]
    {
        let containers = pod["spec"][list].as_array().filter(|list| !list.is_empty());
        if let Some(containers) = containers {
            let runs =
                |container: &Value| list == "containers" || container["restartPolicy"] == "Always";
            let statuses = containers.iter().map(|c| container(c, uid, at, runs(c)));
            status.insert(field.into(), statuses.collect());
        }
    }
    Some(started)
}

/// The conditions of a pod that runs; one that was bound knows since when it is scheduled.
fn conditions(before: &Value, at: &str) -> Value {
    let mut known = before.as_array().into_iter().flatten();
    let scheduled = known.find(|condition| condition["type"] == "PodScheduled");
    let since = scheduled.filter(|c| c["status"] == "True").map(|c| &c["lastTransitionTime"]);
    let since = since.and_then(Value::as_str).unwrap_or(at);
    let condition = |kind, since| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": since});
    json!([
        condition("PodReadyToStartContainers", at),
        condition("Initialized", at),
        condition("Ready", at),
        condition("ContainersReady", at),
        condition("PodScheduled", since),
    ])
}

/// What a runtime tells of a container: it runs, or did what it was to do before the others.
fn container(container: &Value, pod: &str, at: &str, runs: bool) -> Value {
    let (name, image) = (&container["name"], container["image"].as_str().unwrap_or_default());
    let id = digest(&format!("{pod}/{name}"));
    let id = format!("containerd://{id}");
    let state = if runs {
        json!({"running": {"startedAt": at}})
    } else {
        json!({"terminated": {
            "containerID": id, "exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at,
        }})
    };
    json!({
        "name": name, "image": full_name(image), "imageID": image_id(image), "containerID": id,
        "ready": true, "started": runs, "restartCount": 0, "lastState": {}, "state": state,
    })
}

/// An image's name as containerd tells it: with registry and tag.
fn full_name(image: &str) -> String {
    let host = image.split_once('/').map(|(host, _)| host);
    let named = host.is_some_and(|host| host.contains(['.', ':']) || host == "localhost");
    let full = match (named, host) {
        (true, _) => image.to_owned(),
        (false, Some(_)) => format!("docker.io/{image}"),
        (false, None) => format!("docker.io/library/{image}"),
    };
    let last = full.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { full } else { format!("{full}:latest") }
}

/// The image by the digest of its contents, which is the same wherever the same image runs.
fn image_id(image: &str) -> String {
    let full = full_name(image);
    if full.contains('@') {
        return full;
    }
    let repository = full.rsplit_once(':').map_or(&*full, |(repository, _)| repository);
    format!("{repository}@sha256:{}", digest(&full))
}

/// Sixty-four hexadecimal digits that belong to a text.
fn digest(text: &str) -> String {
    let first = Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes());
    let second = Uuid::new_v5(&first, text.as_bytes());
    format!("{}{}", first.simple(), second.simple())
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn place() -> Place {
        Place { host: [172, 18, 0, 10].into(), own: [10, 128, 0, 4].into() }
    }

    fn pod() -> Value {
        json!({
            "metadata": {"uid": "u"},
            "spec": {
                "initContainers": [
                    {"name": "first", "image": "a"},
                    {"name": "side", "image": "b", "restartPolicy": "Always"},
                ],
                "containers": [{"name": "c", "image": "nginx"}],
            },
            "status": {"phase": "Pending", "qosClass": "BestEffort", "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "before"},
            ]},
        })
    }

    #[test]
    fn a_pod_runs_with_all_that_its_readers_look_for() {
        let running = started(&pod(), place(), "now").unwrap();
        let status = &running["status"];
        assert_eq!(status["phase"], "Running");
        assert_eq!(status["qosClass"], "BestEffort");
        assert_eq!(status["podIPs"], json!([{"ip": "10.128.0.4"}]));
        assert_eq!(status["hostIP"], "172.18.0.10");
        let conditions = status["conditions"].as_array().unwrap();
        assert!(conditions.iter().all(|condition| condition["status"] == "True"));
        assert_eq!(conditions[4]["lastTransitionTime"], "before");
        let of = |list: &str, at: usize| status[list][at].clone();
        let main = of("containerStatuses", 0);
        assert_eq!(main["image"], "docker.io/library/nginx:latest");
        assert!(main["imageID"].as_str().unwrap().starts_with("docker.io/library/nginx@sha256:"));
        assert_eq!(main["state"], json!({"running": {"startedAt": "now"}}));
        assert_eq!(of("initContainerStatuses", 0)["state"]["terminated"]["exitCode"], 0);
        assert_eq!(of("initContainerStatuses", 1)["started"], true);
        assert_eq!(started(&running, place(), "later"), None, "it runs already");
        let mut going = pod();
        going["metadata"]["deletionTimestamp"] = "now".into();
        assert_eq!(started(&going, place(), "later"), None);
        let mut host = pod();
        host["spec"]["hostNetwork"] = true.into();
        assert_eq!(started(&host, place(), "now").unwrap()["status"]["podIP"], "172.18.0.10");
    }

    #[test]
    fn images_are_named_in_full() {
        for (image, full) in [
            ("a/b:1", "docker.io/a/b:1"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost/x", "localhost/x:latest"),
            ("host:5000/x/y", "host:5000/x/y:latest"),
        ] {
            assert_eq!(full_name(image), full);
        }
        assert_eq!(image_id("a@sha256:00"), "docker.io/library/a@sha256:00");
    }
}
