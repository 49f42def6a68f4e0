//! The addresses of services.
//!
//! The real server keeps `IPAddress` objects for them. Here the services themselves are the
//! record: an address is taken when one of them has it.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::strategy::meta;
use crate::server::Asked;
use crate::status::{Cause, Status};
use crate::storage::{PageRequest, ResourceId, Scope};

/// The first address of the range, `10.96.0.0/12`: kubeadm's default.
const FIRST: u32 = u32::from_be_bytes([10, 96, 0, 0]);
/// How many addresses the range has.
const COUNT: u32 = 1 << 20;
/// The lowest addresses are left to services that ask for one, such as DNS.
const STATIC: u32 = 257;

pub(super) fn is_service(asked: &Asked<'_>) -> bool {
    asked.resource.plural == "services" && asked.resource.group.is_empty()
}

/// Gives a new service its address, unless it wants none.
pub(super) fn assign(asked: &Asked<'_>, service: &mut Value) -> Result<(), Status> {
    if service["spec"]["type"] == "ExternalName" {
        return Ok(());
    }
    let name = meta(service, "name").to_owned();
    let wanted = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let address = match wanted.as_str() {
        "None" => wanted,
        "" => free(&taken(asked)?, &asked.request.namespace, &name)
            .ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))?,
        _ => {
            check_wanted(&wanted, &taken(asked)?)
                .map_err(|cause| Status::invalid("", "Service", &name, &[cause]))?;
            wanted
        }
    };
    let spec = &mut service["spec"];
    spec["clusterIPs"] = json!([address]);
    spec["clusterIP"] = address.into();
    if spec["ipFamilies"].as_array().is_none_or(Vec::is_empty) {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
    if spec["ipFamilyPolicy"].is_null() {
        spec["ipFamilyPolicy"] = "SingleStack".into();
    }
    Ok(())
}

fn check_wanted(wanted: &str, taken: &HashSet<Ipv4Addr>) -> Result<(), Cause> {
    let list = json!([wanted]);
    let address: Ipv4Addr = wanted.parse().map_err(|_| {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        Cause::invalid("spec.clusterIPs[0]", &wanted.into(), why)
    })?;
    let refuse = |why: &str| {
        let why = format!("failed to allocate IP {wanted}: {why}");
        Err(Cause::invalid("spec.clusterIPs", &list, why))
    };
    if !(FIRST + 1..FIRST + COUNT - 1).contains(&u32::from(address)) {
        return refuse(
            "the provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/12",
        );
    }
    if taken.contains(&address) {
        return refuse("provided IP is already allocated");
    }
    Ok(())
}

/// The first free address from where the name's hash points to: the same name gets the same
/// address on every server, if it can.
fn free(taken: &HashSet<Ipv4Addr>, namespace: &str, name: &str) -> Option<String> {
    let span = COUNT - 1 - STATIC;
    let hash = foldhash::fast::FixedState::with_seed(0).hash_one((namespace, name));
    let start = u32::try_from(hash % u64::from(span)).unwrap_or_default();
    (0..span)
        .map(|step| Ipv4Addr::from(FIRST + STATIC + (start + step) % span))
        .find(|address| !taken.contains(address))
        .map(|address| address.to_string())
}

fn taken(asked: &Asked<'_>) -> Result<HashSet<Ipv4Addr>, Status> {
    let scope = Scope { resource: ResourceId::of("", "services"), namespace: None };
    let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
    let services = asked.call.storage.list(&page).map_err(Status::internal)?.objects;
    let addresses = services.iter().flat_map(|service| {
        let service = service.value();
        let list = service["spec"]["clusterIPs"].as_array().cloned().unwrap_or_default();
        list.into_iter().chain([service["spec"]["clusterIP"].clone()])
    });
    Ok(addresses.filter_map(|address| address.as_str()?.parse().ok()).collect())
}

/// A change that does not speak of the address keeps it, and no change can give another.
pub(super) fn keep(old: &Value, new: &mut Value) {
    if new["spec"]["type"] == "ExternalName" || old["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let unset = match &new["spec"][field] {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        if unset && !old["spec"][field].is_null() {
            new["spec"][field] = old["spec"][field].clone();
        }
    }
}

/// What is wrong with the address of a changed service.
pub(super) fn fault(old: &Value, new: &Value) -> Option<Cause> {
    let (was, is) = (&old["spec"]["clusterIP"], &new["spec"]["clusterIP"]);
    let external = |service: &Value| service["spec"]["type"] == "ExternalName";
    if was == is || was.is_null() || external(old) || external(new) {
        return None;
    }
    Some(Cause::invalid("spec.clusterIPs[0]", &json!([is]), "may not change once set"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_not_given_again() {
        let mut taken = HashSet::new();
        for _ in 0..100 {
            let address: Ipv4Addr = free(&taken, "default", "web").unwrap().parse().unwrap();
            assert_eq!(address.octets()[0], 10);
            assert!((96..112).contains(&address.octets()[1]));
            assert!(taken.insert(address));
        }
    }
}
