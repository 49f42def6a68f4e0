//! Ingresses, network policies and the address kinds of the networking group.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, NONE, row};
use super::labels::format_label_selector;
use super::service::load_balancer_addresses;

const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// How many rules' hosts are shown before the rest is only counted.
const HOSTS: usize = 3;

pub(super) fn ingress(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![
        object.name(),
        object.optional_text_or(&["spec", "ingressClassName"], NONE),
        hosts(object),
        load_balancer_addresses(object).join(","),
        if object.count(&["spec", "tls"]) == 0 { "80" } else { "80, 443" },
        object.age(now),
    ]
}

/// The first hosts. What follows them is counted by rules, those without a host included, so the
/// number can be larger than that of the hosts left out.
fn hosts(ingress: Fields<'_>) -> String {
    let mut shown = Vec::new();
    let mut more = false;
    for rule in ingress.items(&["spec", "rules"]) {
        more |= shown.len() == HOSTS;
        if !more && !rule.text(&["host"]).is_empty() {
            shown.push(rule.text(&["host"]));
        }
    }
    match shown.as_slice() {
        [] => "*".to_owned(),
        _ if more => {
            let left = ingress.count(&["spec", "rules"]) - HOSTS;
            format!("{} + {left} more...", shown.join(","))
        }
        _ => shown.join(","),
    }
}

pub(super) fn ingress_class(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let default = object.annotation(DEFAULT_CLASS) == "true";
    row![
        name_with_default(object, default),
        object.text(&["spec", "controller"]),
        parameters(object.at(&["spec", "parameters"])),
        object.age(now),
    ]
}

/// The name, marked where the object is the one taken when none is named.
pub(super) fn name_with_default(object: Fields<'_>, default: bool) -> String {
    let mark = if default { " (default)" } else { "" };
    format!("{}{mark}", object.name())
}

fn parameters(reference: Fields<'_>) -> String {
    if !reference.has(&[]) {
        return NONE.to_owned();
    }
    let (kind, name) = (reference.text(&["kind"]), reference.text(&["name"]));
    match reference.at(&["apiGroup"]).0.as_str() {
        Some(group) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

pub(super) fn network_policy(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let selector = format_label_selector(object.at(&["spec", "podSelector"]));
    row![object.name(), selector, object.age(now)]
}

pub(super) fn service_cidr(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), object.texts(&["spec", "cidrs"]).join(","), object.age(now)]
}

/// The real server sends an age too, though no column announces it.
pub(super) fn ip_address(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), parent(object.at(&["spec", "parentRef"])), object.age(now)]
}

/// `resource.group/namespace/name`, without the parts that are empty.
fn parent(reference: Fields<'_>) -> String {
    if !reference.has(&[]) {
        return NONE.to_owned();
    }
    let resource = reference.text(&["resource"]).to_lowercase();
    let group = prefixed('.', &reference.text(&["group"]).to_lowercase());
    let namespace = prefixed('/', reference.text(&["namespace"]));
    format!("{resource}{group}{namespace}/{}", reference.text(&["name"]))
}

fn prefixed(separator: char, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{separator}{text}") }
}
