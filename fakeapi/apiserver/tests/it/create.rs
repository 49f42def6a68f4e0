//! Create.

use base64::Engine;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

#[tokio::test]
async fn a_new_object_gets_what_the_server_gives() {
    let server = Server::new();
    let answer = server.post(CONFIG_MAPS, &config_map("c")).await.is(201);
    let object = answer.json();
    assert_eq!(object["kind"], "ConfigMap");
    assert_eq!(object["metadata"]["namespace"], "default");
    assert_eq!(object["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert!(object["metadata"]["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(object["metadata"].get("generation"), None, "config maps have none");
    assert_eq!(object.get("status"), None);
    assert_eq!(revision(&object), 4, "two namespaces came before");
    assert_eq!(server.get(&format!("{CONFIG_MAPS}/c")).await.is(200).json(), object);
    let deployment = server.post(DEPLOYMENTS, &deployment("d")).await.is(201).json();
    assert_eq!(deployment["metadata"]["generation"], 1);
    assert_eq!(deployment["status"], json!({}));
}

#[tokio::test]
async fn what_clients_send_of_the_servers_own_is_dropped() {
    let server = Server::new();
    let mut sent = config_map("c");
    sent["metadata"] = json!({
        "name": "c", "uid": "mine", "creationTimestamp": null, "generation": 7,
        "selfLink": "/x", "deletionTimestamp": "2020-01-01T00:00:00Z", "labels": {},
        "managedFields": [{"manager": "m", "operation": "Update"}], "annotations": null,
        "deletionGracePeriodSeconds": 3,
    });
    let object = server.post(CONFIG_MAPS, &sent).await.is(201).json();
    let mut fields: Vec<&str> =
        object["metadata"].as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["creationTimestamp", "name", "namespace", "resourceVersion", "uid"]);
    assert_ne!(object["metadata"]["uid"], "mine");
    assert!(object["metadata"]["creationTimestamp"].is_string());
}

#[tokio::test]
async fn names_are_generated_and_checked() {
    let server = Server::new();
    let generated = json!({"metadata": {"generateName": "web-"}});
    let object = server.post(CONFIG_MAPS, &generated).await.is(201).json();
    let name = object["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    assert_eq!(object["metadata"]["generateName"], "web-");
    assert_eq!((&object["kind"], &object["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));

    let answer = server.post(CONFIG_MAPS, &json!({"metadata": {}})).await;
    let why = "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required";
    let answer = answer.refuses(422, "Invalid", why);
    assert_eq!(
        answer.at("/details"),
        json!({"kind": "ConfigMap", "causes": [{
            "reason": "FieldValueRequired", "field": "metadata.name",
            "message": "Required value: name or generateName is required",
        }]})
    );
    let answer = server.post(CONFIG_MAPS, &config_map("Upper")).await.is(422);
    assert!(answer.message().starts_with(
        "ConfigMap \"Upper\" is invalid: metadata.name: Invalid value: \"Upper\": a lowercase RFC 1123 subdomain"
    ), "{}", answer.message());
    let mut labelled = config_map("c");
    labelled["metadata"]["labels"] = json!({"a b": "c"});
    let answer = server.post(CONFIG_MAPS, &labelled).await.is(422);
    assert_eq!(answer.at("/details/causes/0/field"), "metadata.labels");
}

#[tokio::test]
async fn refusals_say_what_the_real_server_says() {
    let server = Server::new();
    server.config_map("c").await;
    let again = server.post(CONFIG_MAPS, &config_map("c")).await;
    let answer = again.refuses(409, "AlreadyExists", "configmaps \"c\" already exists");
    assert_eq!(answer.at("/details"), json!({"name": "c", "kind": "configmaps"}));

    let nowhere = server.post("/api/v1/namespaces/nowhere/configmaps", &config_map("c")).await;
    nowhere.refuses(404, "NotFound", "namespaces \"nowhere\" not found");

    let mut other = config_map("d");
    other["metadata"]["namespace"] = "kube-system".into();
    server.post(CONFIG_MAPS, &other).await.refuses(
        400,
        "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request",
    );
    let mut old = config_map("d");
    old["metadata"]["resourceVersion"] = "5".into();
    server.post(CONFIG_MAPS, &old).await.refuses(
        400,
        "BadRequest",
        "resourceVersion should not be set on objects to be created",
    );
    let answer = server.post(CONFIG_MAPS, &pod("p")).await.is(400);
    assert_eq!(answer.at("/reason"), "BadRequest");
    assert!(answer.message().contains("Pod in version \"v1\" cannot be handled as a ConfigMap"));
    server.post(CONFIG_MAPS, &deployment("p")).await.refuses(
        400,
        "BadRequest",
        "the API version in the data (apps/v1) does not match the expected API version (v1)",
    );
    server.post("/api/v1/configmaps", &config_map("x")).await.refuses(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    );
    server.post(&format!("{CONFIG_MAPS}/c"), &config_map("c")).await.is(405);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let server = Server::new();
    let json = [("content-type", "application/json")];
    let answer = server.ask("POST", CONFIG_MAPS, &json, "{\"kind\": ").await.is(400);
    assert_eq!(answer.at("/reason"), "BadRequest");
    assert!(
        answer
            .message()
            .starts_with("the object provided is unrecognized (must be of type ConfigMap)")
    );
    for body in ["", "[]", "3", "null"] {
        server.ask("POST", CONFIG_MAPS, &json, body).await.is(400);
    }
    let answer = server.ask("POST", CONFIG_MAPS, &[("content-type", "text/csv")], "a").await;
    answer.refuses(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: \
         application/json, application/yaml, application/vnd.kubernetes.protobuf",
    );
    let mut wrong = config_map("c");
    wrong["data"] = json!({"a": 1});
    let answer = server.post(CONFIG_MAPS, &wrong).await.is(400);
    assert!(
        answer
            .message()
            .starts_with("ConfigMap in version \"v1\" cannot be handled as a ConfigMap: ")
    );
    let large = vec![b' '; apiserver::MAX_BODY + 1];
    let answer = server.ask("POST", CONFIG_MAPS, &json, large).await.is(413);
    assert_eq!(answer.at("/reason"), "RequestEntityTooLarge");
}

#[tokio::test]
async fn yaml_is_taken_too() {
    let server = Server::new();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cm\ndata:\n  a: \"true\"\n";
    let headers = [("content-type", "application/yaml")];
    let answer = server.ask("POST", CONFIG_MAPS, &headers, yaml).await.is(201);
    assert_eq!(answer.at("/data"), json!({"a": "true"}));
}

#[tokio::test]
async fn unknown_fields_are_told_as_asked() {
    let server = Server::new();
    let sent = |name: &str| {
        let mut sent = config_map(name);
        sent["spec"] = json!({"x": 1});
        sent
    };
    let warned = server.post(CONFIG_MAPS, &sent("a")).await.is(201);
    assert_eq!(warned.warnings(), ["299 - \"unknown field \\\"spec\\\"\""]);
    assert_eq!(warned.at("/spec"), Value::Null);
    let ignored = server.post(&format!("{CONFIG_MAPS}?fieldValidation=Ignore"), &sent("b")).await;
    assert_eq!(ignored.is(201).warnings(), Vec::<String>::new());
    let strict = server.post(&format!("{CONFIG_MAPS}?fieldValidation=Strict"), &sent("c")).await;
    strict.refuses(
        400,
        "BadRequest",
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: \
         unknown field \"spec\"",
    );
    let twice = r#"{"metadata":{"name":"t"},"data":{"a":"1","a":"2"}}"#;
    let json = [("content-type", "application/json")];
    let answer = server.ask("POST", CONFIG_MAPS, &json, twice).await.is(201);
    assert_eq!(answer.warnings(), ["299 - \"duplicate field \\\"data.a\\\"\""]);
    let other = server.post(&format!("{CONFIG_MAPS}?fieldValidation=Loud"), &sent("d")).await;
    other.refuses(
        422,
        "Invalid",
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loud\": \
         supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
    );
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let server = Server::new();
    let before = apiserver::storage::Storage::revision(&*server.store);
    let answer = server.post(&format!("{CONFIG_MAPS}?dryRun=All"), &config_map("c")).await.is(201);
    assert_eq!(answer.at("/metadata/name"), "c");
    assert_eq!(answer.at("/metadata/resourceVersion"), Value::Null);
    server.get(&format!("{CONFIG_MAPS}/c")).await.is(404);
    assert_eq!(apiserver::storage::Storage::revision(&*server.store), before);
    let answer = server.post(&format!("{CONFIG_MAPS}?dryRun=Some"), &config_map("c")).await.is(422);
    assert_eq!(
        answer.message(),
        "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: \
         supported values: \"All\""
    );
}

#[tokio::test]
async fn protobuf_bodies_are_understood() {
    let server = Server::new();
    let cases = [
        (
            "/api/v1/nodes",
            json!({
                "kind": "Node", "apiVersion": "v1",
                "metadata": {"name": "n", "labels": {"a": "b"}},
                "spec": {"providerID": "metal3://x", "taints": [{"key": "k", "effect": "NoSchedule"}]},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            }),
        ),
        (CONFIG_MAPS, config_map("c")),
        (
            SECRETS,
            json!({
                "kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"},
                "type": "Opaque", "data": {"a": "AAEC"},
            }),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            json!({
                "kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1",
                "metadata": {"name": "b"},
                "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "g"}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
            }),
        ),
    ];
    for (path, sent) in cases {
        let text = |key: &str| sent[key].as_str().unwrap();
        let bytes = apiserver::protobuf::encode(&sent, text("apiVersion"), text("kind")).unwrap();
        let proto = "application/vnd.kubernetes.protobuf";
        let headers =
            [("content-type", proto), ("accept", "application/vnd.kubernetes.protobuf, */*")];
        let object = server.ask("POST", path, &headers, bytes).await.is(201).json();
        for field in ["kind", "apiVersion", "data", "type", "roleRef", "subjects"] {
            assert_eq!(object.get(field), sent.get(field), "{path} {field}");
        }
        assert_eq!(object["metadata"]["name"], sent["metadata"]["name"]);
        if path.ends_with("nodes") {
            assert_eq!(object["spec"], sent["spec"]);
            assert_eq!(
                object["status"]["conditions"][0]["type"], "Ready",
                "a node brings its status"
            );
        }
        let name = sent["metadata"]["name"].as_str().unwrap();
        let got = server.get_as(proto, &format!("{path}/{name}")).await.is(200);
        assert_eq!(got.header("content-type"), proto);
        let decoded = apiserver::protobuf::decode(&got.body).unwrap();
        assert_eq!(decoded.value["metadata"]["uid"], object["metadata"]["uid"]);
    }
}

#[tokio::test]
async fn a_secrets_text_becomes_data() {
    let server = Server::new();
    let secret =
        json!({"metadata": {"name": "s"}, "stringData": {"a": "text"}, "data": {"b": "Yg=="}});
    let made = server.post(SECRETS, &secret).await.is(201).json();
    let encoded = base64::engine::general_purpose::STANDARD.encode("text");
    assert_eq!(made["data"], json!({"a": encoded, "b": "Yg=="}));
    assert_eq!(made["type"], "Opaque");
    assert_eq!(made.get("stringData"), None);
    let path = format!("{SECRETS}/s");
    for kind in [MERGE, STRATEGIC] {
        let change = json!({"stringData": {"b": kind}});
        let patched = server.patch(&path, kind, &change).await.is(200).json();
        let encoded = base64::engine::general_purpose::STANDARD.encode(kind);
        assert_eq!(patched["data"]["b"], encoded.as_str());
        assert_eq!(patched.get("stringData"), None);
    }
}

#[tokio::test]
async fn a_signing_request_names_who_made_it() {
    let server = Server::new();
    let request = json!({
        "metadata": {"name": "c"},
        "spec": {
            "request": "AAAA", "signerName": "example.com/s", "usages": ["client auth"],
            "username": "somebody-else", "groups": ["kings"], "uid": "1",
        },
        "status": {"conditions": [{"type": "Approved", "status": "True"}]},
    });
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let made = server.post(path, &request).await.is(201);
    assert_eq!(made.at("/spec/username"), "admin");
    assert_eq!(made.at("/spec/groups"), json!(["system:masters", "system:authenticated"]));
    assert_eq!(made.at("/spec/uid"), Value::Null);
    assert_eq!(made.at("/status"), json!({}), "nobody approves their own at once");
}
