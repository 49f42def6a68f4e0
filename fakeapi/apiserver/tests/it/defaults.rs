//! What the server fills in.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

#[tokio::test]
async fn a_deployment_reads_as_from_the_real_server() {
    let server = Server::new();
    let made = server.post(DEPLOYMENTS, &deployment("d")).await.is(201).json();
    assert_eq!(
        made["spec"],
        json!({
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "d"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {
                    "containers": [{
                        "name": "c", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }],
                    "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                    "schedulerName": "default-scheduler", "securityContext": {},
                    "terminationGracePeriodSeconds": 30,
                },
            },
        })
    );
    let mut none = made.clone();
    none["spec"]["replicas"] = Value::Null;
    none["spec"]["strategy"] = json!({"type": "Recreate"});
    let none = server.put(&format!("{DEPLOYMENTS}/d"), &none).await.is(200);
    assert_eq!(none.at("/spec/replicas"), 1, "unset is one");
    assert_eq!(none.at("/spec/strategy"), json!({"type": "Recreate"}));
    let zero = json!({"spec": {"replicas": 0}});
    let zero = server.patch(&format!("{DEPLOYMENTS}/d"), MERGE, &zero).await.is(200);
    assert_eq!(zero.at("/spec/replicas"), 0);
}

#[tokio::test]
async fn what_clients_write_without_meaning_it_changes_nothing() {
    let server = Server::new();
    let made = server.post(DEPLOYMENTS, &deployment("d")).await.is(201).json();
    let mut noise = deployment("d");
    noise["metadata"]["creationTimestamp"] = Value::Null;
    noise["status"] = json!({});
    noise["spec"]["strategy"] = json!({});
    noise["spec"]["template"]["metadata"]["creationTimestamp"] = Value::Null;
    noise["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
    let same = server.put(&format!("{DEPLOYMENTS}/d"), &noise).await.is(200).json();
    assert_eq!(same, made);
}

#[tokio::test]
async fn a_pod_gets_its_account_and_its_policies() {
    let server = Server::new();
    let mut sent = pod("p");
    sent["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    sent["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
    sent["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"port": 80}});
    sent["spec"]["volumes"] = json!([{"name": "a"}, {"name": "b", "configMap": {"name": "c"}}]);
    let made = server.post(PODS, &sent).await.is(201);
    let cases = [
        ("/spec/serviceAccountName", json!("default")),
        ("/spec/serviceAccount", json!("default")),
        ("/spec/enableServiceLinks", json!(true)),
        ("/spec/containers/0/imagePullPolicy", json!("IfNotPresent")),
        ("/spec/containers/0/ports/0/protocol", json!("TCP")),
        ("/spec/containers/0/resources/requests", json!({"cpu": "1"})),
        ("/spec/containers/0/livenessProbe/periodSeconds", json!(10)),
        ("/spec/containers/0/livenessProbe/httpGet/path", json!("/")),
        ("/spec/volumes/0", json!({"name": "a", "emptyDir": {}})),
        ("/spec/volumes/1/configMap/defaultMode", json!(420)),
        ("/status", json!({"phase": "Pending", "qosClass": "Burstable"})),
    ];
    for (pointer, expected) in cases {
        assert_eq!(made.at(pointer), expected, "{pointer}");
    }
}

#[tokio::test]
async fn other_workloads() {
    let server = Server::new();
    let template = deployment("x")["spec"]["template"].clone();
    let spec = |more: Value| {
        let mut spec = json!({"selector": {"matchLabels": {"app": "x"}}, "template": template});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"metadata": {"name": "x"}, "spec": spec})
    };
    let cases = [
        (
            "apps/v1",
            "daemonsets",
            json!({}),
            "/spec/updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        ),
        (
            "apps/v1",
            "statefulsets",
            json!({"serviceName": "s"}),
            "/spec/updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
        ),
        ("apps/v1", "replicasets", json!({}), "/spec/replicas", json!(1)),
        ("batch/v1", "jobs", json!({"selector": null}), "/spec/backoffLimit", json!(6)),
        (
            "batch/v1",
            "cronjobs",
            json!({"selector": null, "template": null, "schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}),
            "/spec/concurrencyPolicy",
            json!("Allow"),
        ),
    ];
    for (version, plural, more, pointer, expected) in cases {
        let path = format!("/apis/{version}/namespaces/default/{plural}");
        let made = server.post(&path, &spec(more)).await.is(201);
        assert_eq!(made.at(pointer), expected, "{plural}");
    }
}

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn services_get_addresses_of_their_own() {
    let server = Server::new();
    let ports = json!({"ports": [{"port": 80}], "selector": {"a": "b"}});
    let made = server.post(SERVICES, &service("web", &ports)).await.is(201).json();
    let address = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(
        address.starts_with("10.9") || address.starts_with("10.10") || address.starts_with("10.11"),
        "{address}"
    );
    assert_eq!(
        made["spec"],
        json!({
            "clusterIP": address, "clusterIPs": [address], "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "selector": {"a": "b"},
            "sessionAffinity": "None", "type": "ClusterIP",
        })
    );
    assert_eq!(made["status"], json!({"loadBalancer": {}}));
    let other = server.post(SERVICES, &service("db", &ports)).await.is(201);
    assert_ne!(other.at("/spec/clusterIP"), address.as_str());
    let wanted = service("want", &json!({"clusterIP": address, "ports": [{"port": 1}]}));
    server.post(SERVICES, &wanted).await.refuses(
        422,
        "Invalid",
        &format!(
            "Service \"want\" is invalid: spec.clusterIPs: Invalid value: [\"{address}\"]: failed \
             to allocate IP {address}: provided IP is already allocated"
        ),
    );
    let fixed = service("dns", &json!({"clusterIP": "10.96.0.10", "ports": [{"port": 53}]}));
    assert_eq!(
        server.post(SERVICES, &fixed).await.is(201).at("/spec/clusterIPs"),
        json!(["10.96.0.10"])
    );
    let headless = service("none", &json!({"clusterIP": "None"}));
    assert_eq!(
        server.post(SERVICES, &headless).await.is(201).at("/spec/clusterIPs"),
        json!(["None"])
    );
    let external = service("ext", &json!({"type": "ExternalName", "externalName": "a.b"}));
    let external = server.post(SERVICES, &external).await.is(201);
    assert_eq!(external.at("/spec/clusterIP"), Value::Null);
    let kept = server.put(&format!("{SERVICES}/web"), &service("web", &ports)).await.is(200);
    assert_eq!(kept.json(), made, "a write that does not speak of the address keeps it");
    let moved = json!({"spec": {"clusterIP": "10.96.9.9", "clusterIPs": ["10.96.9.9"]}});
    let moved = server.patch(&format!("{SERVICES}/web"), MERGE, &moved).await.is(422);
    assert_eq!(
        moved.message(),
        "Service \"web\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.9.9\"]: may not \
         change once set"
    );
    server.delete(&format!("{SERVICES}/dns")).await.is(200);
    server.post(SERVICES, &fixed).await.is(201);
}
