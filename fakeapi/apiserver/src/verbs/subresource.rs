//! What hangs below objects: status, scale, eviction, binding, finalize.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::create::refused;
use super::options::dry_run;
use super::strategy::{meta, metadata};
use super::update::{ATTEMPTS, Part, change};
use super::{commit, delete, patch, portforward, read, update};
use crate::body::Body;
use crate::patch::merge_patch;
use crate::request::Verb;
use crate::selector::LabelSelector;
use crate::server::Asked;
use crate::status::{Cause, Status};
use crate::{codec, render};

pub(super) fn answer(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    let name = &*asked.request.subresource;
    let subresource = asked.resource.subresource(name).ok_or_else(Status::unknown_resource)?;
    let verb = asked.request.verb;
    if !subresource.verbs.iter().any(|v| v == verb.as_str()) {
        return Err(Status::method_not_allowed());
    }
    match name {
        "status" => status(asked),
        "finalize" => update::replace(asked, Part::Finalizers),
        "scale" => scale(asked),
        "eviction" => evict(asked),
        "binding" => bind(asked),
        "portforward" => portforward::answer(asked),
        _ => Err(not_here(asked)),
    }
}

/// Subresources that need something behind the API: a kubelet, a token's signer.
fn not_here(asked: &Asked<'_>) -> Status {
    let (plural, sub) = (&asked.resource.plural, &asked.request.subresource);
    Status::not_implemented(&format!("this server has nothing behind {plural}/{sub}"))
}

fn status(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    match asked.request.verb {
        Verb::Get => read::get(asked),
        Verb::Update => update::replace(asked, Part::Status),
        _ => patch::patch_part(asked, Part::Status),
    }
}

fn evict(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    let eviction = codec::decode(&asked.headers, &asked.body, "Eviction")?.value;
    let name = meta(&eviction, "name");
    if !name.is_empty() && name != asked.request.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let pod = read::fetch(asked)?.value();
    check_budgets(asked, &pod)?;
    let mut options = eviction["deleteOptions"].clone();
    if !options.is_object() {
        options = json!({});
    }
    if dry_run(asked)? {
        options["dryRun"] = json!(["All"]);
    }
    delete::evict(asked, options)?;
    Ok(render::status(asked.form, &Status::created()))
}

/// A pod that a disruption budget protects is not evicted while the budget allows none.
fn check_budgets(asked: &Asked<'_>, pod: &Value) -> Result<(), Status> {
    use crate::storage::{PageRequest, ResourceId, Scope};
    let idle = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"));
    if idle || pod["metadata"].get("deletionTimestamp").is_some() {
        return Ok(());
    }
    let scope = Scope {
        resource: ResourceId::of("policy", "poddisruptionbudgets"),
        namespace: Some(&asked.request.namespace),
    };
    let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
    let page = asked.call.storage.list(&page).map_err(Status::internal)?;
    let matching: Vec<Value> = page
        .objects
        .iter()
        .map(|budget| budget.value())
        .filter(|budget| {
            LabelSelector::from_json(&budget["spec"]["selector"]).is_ok_and(|selector| {
                selector.matches(|key| pod["metadata"]["labels"][key].as_str())
            })
        })
        .collect();
    match matching.as_slice() {
        [] => Ok(()),
        [budget] if spares_unready(budget, pod) => Ok(()),
        [budget] if budget["status"]["disruptionsAllowed"].as_i64().unwrap_or(0) > 0 => Ok(()),
        [budget] => {
            let name = meta(budget, "name");
            let message = "Cannot evict pod as it would violate the pod's disruption budget.";
            let count = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
            let cause = json!([{
                "reason": "DisruptionBudget",
                "message": format!(
                    "The disruption budget {name} needs {} healthy pods and has {} currently",
                    count("desiredHealthy"),
                    count("currentHealthy"),
                ),
            }]);
            Err(Status::too_many_requests(message, None).with_causes(cause))
        }
        _ => Err(Status::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does \
             not support.",
        )),
    }
}

/// Whether a budget lets a pod go that serves nobody: always, or while enough others are healthy.
fn spares_unready(budget: &Value, pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready =
        conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let healthy = count("desiredHealthy") > 0 && count("currentHealthy") >= count("desiredHealthy");
    !ready && (budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" || healthy)
}

/// Puts a pod on a node, as a scheduler does.
fn bind(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    let binding = codec::decode(&asked.headers, &asked.body, "Binding")?.value;
    let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
    if node.is_empty() {
        let cause = Cause::required("target.name", "");
        return Err(Status::invalid("", "Binding", &asked.request.name, &[cause]));
    }
    for _ in 0..ATTEMPTS {
        let current = read::fetch(asked)?;
        let mut pod = current.value();
        if let Some(on) = pod["spec"]["nodeName"].as_str().filter(|on| !on.is_empty()) {
            let why = format!("pod {} is already assigned to node \"{on}\"", asked.request.name);
            return Err(Status::conflict("", "pods/binding", &asked.request.name, &why));
        }
        pod["spec"]["nodeName"] = node.as_str().into();
        push_condition(&mut pod, "PodScheduled");
        let storage = &*asked.call.storage;
        match commit::replace(storage, &asked.key(), &current, &mut pod) {
            Ok(_) => return Ok(render::status(asked.form.whole(), &Status::created())),
            Err(crate::storage::CommitError::Changed { .. }) => {}
            Err(error) => return Err(refused(asked, &asked.request.name, &error)),
        }
    }
    Err(Status::modified("", "pods", &asked.request.name))
}

fn push_condition(pod: &mut Value, kind: &str) {
    let condition = json!({
        "type": kind, "status": "True", "lastProbeTime": null,
        "lastTransitionTime": super::strategy::now(),
    });
    let conditions = &mut pod["status"]["conditions"];
    match conditions.as_array_mut() {
        Some(list) => {
            list.retain(|c| c["type"] != kind);
            list.push(condition);
        }
        None => *conditions = json!([condition]),
    }
}

/// The number of replicas as `autoscaling/v1` `Scale`.
fn scale(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    if asked.request.verb == Verb::Get {
        let object = read::fetch(asked)?;
        return Ok(render::value(asked.form, StatusCode::OK, &view(asked, &object.value())));
    }
    let dry = dry_run(asked)?;
    for _ in 0..ATTEMPTS {
        let current = read::fetch(asked)?;
        let old = view(asked, &current.value());
        let new = wanted_scale(asked, &old)?;
        let mut object = current.value();
        let replicas = replicas_of(asked, &new)?;
        object["spec"]["replicas"] = replicas.into();
        match meta(&new, "resourceVersion") {
            "" => drop(metadata(&mut object).remove("resourceVersion")),
            revision => {
                metadata(&mut object).insert("resourceVersion".into(), revision.into());
            }
        }
        if let Some(done) = change(asked, &current, object, Part::Main, dry)? {
            return Ok(render::value(asked.form, StatusCode::OK, &view(asked, &done.value())));
        }
    }
    Err(Status::modified(&asked.resource.group, &asked.resource.plural, &asked.request.name))
}

/// The scale as the client wants it: sent whole, or as a patch of what is.
fn wanted_scale(asked: &Asked<'_>, old: &Value) -> Result<Value, Status> {
    if asked.request.verb == Verb::Update {
        let scale = codec::decode(&asked.headers, &asked.body, "Scale")?.value;
        let name = meta(&scale, "name");
        if !name.is_empty() && name != asked.request.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                asked.request.name
            )));
        }
        return Ok(scale);
    }
    let mut scale = old.clone();
    metadata(&mut scale).remove("resourceVersion");
    match codec::media_type(&asked.headers) {
        "application/json-patch+json" => crate::patch::json_patch(&mut scale, &asked.body),
        // No list in a Scale: both kinds of merging are the same.
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            let patch = serde_json::from_slice(&asked.body)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
            merge_patch(&mut scale, &patch)
        }
        _ => {
            return Err(Status::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ]));
        }
    }
    .map_err(|error| Status::unprocessable_patch(&error.to_string()))?;
    Ok(scale)
}

fn replicas_of(asked: &Asked<'_>, scale: &Value) -> Result<i64, Status> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => Some(0),
        replicas => replicas.as_i64(),
    };
    let name = &asked.request.name;
    let Some(replicas) = replicas else {
        return Err(Status::bad_request(
            "Scale in version \"v1\" cannot be handled as a Scale: \
             json: cannot unmarshal spec.replicas into Go struct field of type int32",
        ));
    };
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &replicas.into(), why);
        return Err(Status::invalid("autoscaling", "Scale", name, &[cause]));
    }
    Ok(replicas)
}

fn view(asked: &Asked<'_>, object: &Value) -> Value {
    let metadata: Value = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), object["metadata"].get(field)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(1)},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0)},
    });
    if asked.resource.plural == "replicationcontrollers" {
        if let Some(selector) = object["spec"]["selector"].as_object() {
            let text =
                selector.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
            scale["status"]["selector"] = text.collect::<Vec<_>>().join(",").into();
        }
    } else if let Ok(selector) = LabelSelector::from_json(&object["spec"]["selector"]) {
        scale["status"]["selector"] = selector.to_string().into();
    }
    scale
}
