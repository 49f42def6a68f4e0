//! The ports that services have on every node.
//!
//! As with cluster IPs, the services themselves are the record of what is taken.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::strategy::meta;
use crate::server::Asked;
use crate::status::{Cause, Status};
use crate::storage::{PageRequest, ResourceId, Scope};

/// The range of kube-apiserver's default `--service-node-port-range`.
const RANGE: RangeInclusive<u64> = 30_000..=32_767;

/// Gives the ports of a service that is reached through nodes their numbers there, and takes
/// them from one that is not. A port that it had it keeps.
pub(super) fn assign(
    asked: &Asked<'_>,
    old: Option<&Value>,
    service: &mut Value,
) -> Result<(), Status> {
    let wanted = wants(service);
    let (uid, name) = (meta(service, "uid").to_owned(), meta(service, "name").to_owned());
    let Some(ports) = service["spec"]["ports"].as_array_mut() else { return Ok(()) };
    if !wanted {
        // The real server keeps what was sent only for kinds of services that have node ports.
        ports.iter_mut().filter_map(Value::as_object_mut).for_each(|port| {
            port.remove("nodePort");
        });
        return Ok(());
    }
    let mut taken = taken(asked, &uid)?;
    for (index, port) in ports.iter_mut().enumerate() {
        if let Some(number) = port["nodePort"].as_u64().filter(|number| *number > 0) {
            check(&taken, index, number)
                .map_err(|cause| Status::invalid("", "Service", &name, &[cause]))?;
            taken.insert((number, protocol(port)));
        }
    }
    for port in ports.iter_mut().filter(|port| port["nodePort"].as_u64().unwrap_or(0) == 0) {
        let number = had(old, port)
            .filter(|number| !taken.contains(&(*number, protocol(port))))
            .or_else(|| free(&taken, &protocol(port), &name))
            .ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?;
        taken.insert((number, protocol(port)));
        port["nodePort"] = number.into();
    }
    Ok(())
}

fn wants(service: &Value) -> bool {
    let spec = &service["spec"];
    match spec["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

/// The number that the same port of the service had before.
fn had(old: Option<&Value>, port: &Value) -> Option<u64> {
    let ports = old?["spec"]["ports"].as_array()?;
    let same =
        |before: &&Value| before["port"] == port["port"] && protocol(before) == protocol(port);
    ports.iter().find(same)?["nodePort"].as_u64()
}

fn check(taken: &HashSet<(u64, String)>, index: usize, number: u64) -> Result<(), Cause> {
    let field = format!("spec.ports[{index}].nodePort");
    let why = if !RANGE.contains(&number) {
        "provided port is not in the valid range. The range of valid ports is 30000-32767"
    } else if taken.iter().any(|(taken, _)| *taken == number) {
        "provided port is already allocated"
    } else {
        return Ok(());
    };
    Err(Cause::invalid(field, &json!(number), why))
}

/// The first free number from where the name's hash points to.
fn free(taken: &HashSet<(u64, String)>, protocol: &str, name: &str) -> Option<u64> {
    use std::hash::BuildHasher;
    let span = RANGE.end() - RANGE.start() + 1;
    let start = foldhash::fast::FixedState::with_seed(0).hash_one(name) % span;
    (0..span)
        .map(|step| RANGE.start() + (start + step) % span)
        .find(|number| !taken.contains(&(*number, protocol.to_owned())))
}

/// The node ports of all other services.
fn taken(asked: &Asked<'_>, but: &str) -> Result<HashSet<(u64, String)>, Status> {
    let scope = Scope { resource: ResourceId::of("", "services"), namespace: None };
    let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
    let services = asked.call.storage.list(&page).map_err(Status::internal)?.objects;
    let others = services.iter().map(|service| service.value()).filter(|s| meta(s, "uid") != but);
    Ok(others
        .flat_map(|service| service["spec"]["ports"].as_array().cloned().unwrap_or_default())
        .filter_map(|port| Some((port["nodePort"].as_u64()?, protocol(&port))))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_range_and_never_twice() {
        let mut taken = HashSet::new();
        for _ in RANGE {
            let number = free(&taken, "TCP", "web").unwrap();
            assert!(RANGE.contains(&number));
            assert!(taken.insert((number, "TCP".to_owned())));
        }
        assert_eq!(free(&taken, "TCP", "web"), None);
        assert!(free(&taken, "UDP", "web").is_some(), "protocols have numbers of their own");
    }

    #[test]
    fn a_port_keeps_its_number() {
        let old = json!({"spec": {"ports": [{"port": 80, "nodePort": 30_080}]}});
        assert_eq!(had(Some(&old), &json!({"port": 80, "protocol": "TCP"})), Some(30_080));
        assert_eq!(had(Some(&old), &json!({"port": 81})), None);
        assert_eq!(had(None, &json!({"port": 80})), None);
    }
}
