//! `ClusterRoles` that gather the rules of others, as kube-controller-manager fills them.

use serde_json::Value;

/// How deep roles gather from roles that gather: view, edit, admin.
const DEPTH: usize = 3;

/// Gives every `ClusterRole` with an `aggregationRule` the rules of those it selects.
///
/// A rule that is there already is not repeated, and roles come in order of their names, so the
/// outcome is the real controller's once it has come to rest.
pub(super) fn aggregate(objects: &mut [Value]) {
    let mut roles: Vec<usize> =
        (0..objects.len()).filter(|at| objects[*at]["kind"] == "ClusterRole").collect();
    roles.sort_by_key(|at| objects[*at]["metadata"]["name"].to_string());
    for _ in 0..DEPTH {
        for gathering in &roles {
            let Some(selectors) =
                objects[*gathering]["aggregationRule"]["clusterRoleSelectors"].as_array().cloned()
            else {
                continue;
            };
            let mut gathered: Vec<Value> = Vec::new();
            let given = selectors.iter().flat_map(|selector| {
                let objects = &*objects;
                let others = roles.iter().filter(move |at| *at != gathering);
                others.map(move |at| &objects[*at]).filter(move |role| selects(selector, role))
            });
            for rule in given.filter_map(|role| role["rules"].as_array()).flatten() {
                if !gathered.contains(rule) {
                    gathered.push(rule.clone());
                }
            }
            objects[*gathering]["rules"] = gathered.into();
        }
    }
}

/// Whether a selector's `matchLabels` are among the role's: the default policy has no others.
fn selects(selector: &Value, role: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    wanted.is_some_and(|wanted| {
        let mut wanted = wanted.iter();
        wanted.all(|(key, value)| role["metadata"]["labels"].get(key) == Some(value))
    })
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_gathered_through_roles_that_gather() {
        let role = |name: &str, to: &str, from: Option<&str>, rules: Value| {
            let mut role = json!({
                "kind": "ClusterRole",
                "metadata": {"name": name, "labels": {to: "true"}},
                "rules": rules,
            });
            if let Some(from) = from {
                let selectors = json!([{"matchLabels": {from: "true"}}]);
                role["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
            }
            role
        };
        let mut objects = [
            role("admin", "x", Some("to-admin"), Value::Null),
            role("edit", "to-admin", Some("to-edit"), Value::Null),
            role("view", "to-edit", Some("to-view"), Value::Null),
            role("z-view", "to-view", None, json!(["get"])),
            role("y-edit", "to-edit", None, json!(["get", "put"])),
            role("w-admin", "to-admin", None, json!(["all"])),
        ];
        aggregate(&mut objects);
        assert_eq!(objects[0]["rules"], json!(["get", "put", "all"]));
        assert_eq!(objects[1]["rules"], json!(["get", "put"]));
        assert_eq!(objects[2]["rules"], json!(["get"]));
        assert_eq!(objects[3]["rules"], json!(["get"]));
    }
}
