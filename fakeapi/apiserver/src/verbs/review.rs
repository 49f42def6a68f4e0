//! Questions about who asks and what they may: kinds that are answered and never stored.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::auth::User;
use crate::body::Body;
use crate::codec;
use crate::rbac;
use crate::render;
use crate::request::Verb;
use crate::server::Asked;
use crate::status::{Cause, Status};

/// Answers a create of a review; `None` for all other requests.
pub(super) fn answer(asked: &Asked<'_>) -> Option<Result<Response<Body>, Status>> {
    if asked.request.verb != Verb::Create {
        return None;
    }
    let review = match (&*asked.resource.group, &*asked.resource.plural) {
        ("authorization.k8s.io", "selfsubjectaccessreviews") => self_access,
        ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews") => access,
        ("authorization.k8s.io", "selfsubjectrulesreviews") => rules,
        ("authentication.k8s.io", "selfsubjectreviews") => who,
        _ => return None,
    };
    Some(codec::decode(&asked.headers, &asked.body, &asked.resource.kind).and_then(|decoded| {
        let mut value = decoded.value;
        value["kind"] = asked.resource.kind.as_str().into();
        value["apiVersion"] = asked.resource.api_version().into();
        if !value["metadata"].is_object() {
            value["metadata"] = json!({});
        }
        value["status"] = review(asked, &value["spec"])?;
        Ok(render::value(asked.form, StatusCode::CREATED, &value))
    }))
}

fn self_access(asked: &Asked<'_>, spec: &Value) -> Result<Value, Status> {
    decide(asked, asked.user, spec)
}

fn access(asked: &Asked<'_>, spec: &Value) -> Result<Value, Status> {
    let groups: Vec<String> = strings(&spec["groups"]);
    let name = spec["user"].as_str().unwrap_or_default();
    if name.is_empty() && groups.is_empty() {
        let cause = Cause {
            reason: "FieldValueInvalid",
            message: "Invalid value: \"\": at least one of user or group must be specified".into(),
            field: "spec.user".into(),
        };
        return Err(Status::invalid(&asked.resource.group, &asked.resource.kind, "", &[cause]));
    }
    let user = User { name: name.into(), groups, ..User::default() };
    decide(asked, &user, spec)
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn decide(asked: &Asked<'_>, user: &User, spec: &Value) -> Result<Value, Status> {
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let resource = &spec["resourceAttributes"];
    let path = &spec["nonResourceAttributes"];
    let allowed = if user.is_master() {
        true
    } else if path.is_object() {
        let rules = rbac::rules_of(&*asked.call.storage, user, None).map_err(Status::internal)?;
        let (verb, path) = (text(path, "verb"), text(path, "path"));
        rules.iter().any(|rule| rule.grants_path(&verb, &path))
    } else if resource.is_object() {
        let namespace = text(resource, "namespace");
        let within = (!namespace.is_empty()).then_some(&*namespace);
        let rules = rbac::rules_of(&*asked.call.storage, user, within).map_err(Status::internal)?;
        let wanted = rbac::Wanted {
            verb: &text(resource, "verb"),
            group: &text(resource, "group"),
            resource: &text(resource, "resource"),
            subresource: &text(resource, "subresource"),
            name: &text(resource, "name"),
        };
        rules.iter().any(|rule| rule.grants(&wanted))
    } else {
        let cause = Cause {
            reason: "FieldValueInvalid",
            message: "Invalid value: null: exactly one of nonResourceAttributes or \
                      resourceAttributes must be specified"
                .into(),
            field: "spec.resourceAttributes".into(),
        };
        return Err(Status::invalid(&asked.resource.group, &asked.resource.kind, "", &[cause]));
    };
    Ok(json!({"allowed": allowed}))
}

/// The rules that bind the one who asks in a namespace.
fn rules(asked: &Asked<'_>, spec: &Value) -> Result<Value, Status> {
    let namespace = spec["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let mut rules = rbac::rules_of(&*asked.call.storage, asked.user, Some(namespace))
        .map_err(Status::internal)?;
    if asked.user.is_master() {
        rules.push(rbac::Rule::everything());
    }
    let mut resources = Vec::new();
    let mut paths = Vec::new();
    for rule in rules {
        if rule.non_resource_urls.is_empty() {
            let mut one = json!({
                "verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources,
            });
            if !rule.resource_names.is_empty() {
                one["resourceNames"] = json!(rule.resource_names);
            }
            resources.push(one);
        } else {
            paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
        }
    }
    Ok(json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false}))
}

/// Who asks, as they are known here.
#[expect(clippy::unnecessary_wraps, reason = "one of a table of reviews that may refuse")]
fn who(asked: &Asked<'_>, _: &Value) -> Result<Value, Status> {
    let user = asked.user;
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    Ok(json!({"userInfo": info}))
}
