//! Services and the endpoints behind them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, NONE, UNKNOWN, UNSET, non_empty, row};
use super::labels::format_labels;

/// How many elements of a list are shown before the rest is only counted.
const SHOWN: usize = 3;

pub(super) fn service(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let ports: Vec<_> = object.items(&["spec", "ports"]).map(port).collect();
    row![
        object.name(),
        service_type(object),
        cluster_ip(object),
        external_ip(object),
        non_empty(ports.join(","), NONE),
        object.age(now),
        format_labels(object.at(&["spec", "selector"])),
    ]
}

fn service_type(service: Fields<'_>) -> &str {
    service.text_or(&["spec", "type"], "ClusterIP")
}

/// The first address. A service that has only the older singular field is shown by that, since
/// the real server fills the plural one in on reading.
fn cluster_ip(service: Fields<'_>) -> &str {
    let first = service.texts(&["spec", "clusterIPs"]).first().copied();
    first.unwrap_or_else(|| service.text_or(&["spec", "clusterIP"], NONE))
}

fn external_ip(service: Fields<'_>) -> String {
    let mut addresses = match service_type(service) {
        "ClusterIP" | "NodePort" => Vec::new(),
        "LoadBalancer" => load_balancer_addresses(service),
        "ExternalName" => return service.text(&["spec", "externalName"]).to_owned(),
        _ => return UNKNOWN.to_owned(),
    };
    let pending = if service_type(service) == "LoadBalancer" { "<pending>" } else { NONE };
    addresses.extend(service.texts(&["spec", "externalIPs"]));
    if addresses.is_empty() { pending.to_owned() } else { addresses.join(",") }
}

/// The distinct addresses of a load balancer in order; a name stands in where there is no IP.
pub(super) fn load_balancer_addresses(object: Fields<'_>) -> Vec<&str> {
    let ingress = object.items(&["status", "loadBalancer", "ingress"]);
    let addresses: BTreeSet<_> = ingress
        .map(|point| point.text_or(&["ip"], point.text(&["hostname"])))
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().collect()
}

fn port(port: Fields<'_>) -> String {
    let (number, protocol) = (port.int(&["port"]), port.text_or(&["protocol"], "TCP"));
    match port.int(&["nodePort"]) {
        node_port if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
        _ => format!("{number}/{protocol}"),
    }
}

pub(super) fn endpoints(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let addresses = match object.count(&["subsets"]) {
        0 => NONE.to_owned(),
        _ => shorten(&object.items(&["subsets"]).flat_map(subset).collect::<Vec<_>>()),
    };
    row![object.name(), addresses, object.age(now)]
}

/// Every address at every port; the bare addresses of a subset that has no ports.
fn subset(subset: Fields<'_>) -> Vec<String> {
    let addresses = || subset.items(&["addresses"]).map(|address| address.text(&["ip"]));
    if subset.count(&["ports"]) == 0 {
        return addresses().map(str::to_owned).collect();
    }
    let ports = subset.items(&["ports"]).map(|port| port.int(&["port"]));
    ports.flat_map(|port| addresses().map(move |address| host_port(address, port))).collect()
}

fn host_port(host: &str, port: i64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub(super) fn endpoint_slice(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let ports: Vec<_> = object.items(&["ports"]).map(slice_port).collect();
    let endpoints = object.items(&["endpoints"]);
    let addresses: Vec<_> = endpoints.flat_map(|endpoint| endpoint.texts(&["addresses"])).collect();
    row![
        object.name(),
        object.text(&["addressType"]),
        non_empty(shorten(&ports), UNSET),
        non_empty(shorten(&addresses), UNSET),
        object.age(now),
    ]
}

/// A port's number, else its name, which is empty unless it was given.
fn slice_port(port: Fields<'_>) -> String {
    if port.has(&["port"]) {
        port.int(&["port"]).to_string()
    } else {
        port.text(&["name"]).to_owned()
    }
}

/// The first elements, and how many more there are.
pub(super) fn shorten<T: AsRef<str>>(list: &[T]) -> String {
    let shown: Vec<_> = list.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match list.len().saturating_sub(SHOWN) {
        0 => shown.join(","),
        more => format!("{} + {more} more...", shown.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_plural_address_wins_and_the_singular_stands_in() {
        let cases = [
            (json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2", "fd::2"]}), "10.0.0.2"),
            (json!({"clusterIP": "10.0.0.1"}), "10.0.0.1"),
            (json!({"clusterIP": "None"}), "None"),
            (json!({"clusterIP": ""}), "<none>"),
        ];
        for (spec, want) in cases {
            assert_eq!(cluster_ip(Fields(&json!({"spec": spec}))), want, "{spec}");
        }
    }
}
