//! Labels and label selectors in one line, as the reference prints them: sorted by key.

use super::fields::{Fields, NONE, non_empty};

/// `a=b,c=d`, or `<none>`.
pub(super) fn format_labels(labels: Fields<'_>) -> String {
    let mut pairs: Vec<_> = labels.entries(&[]).collect();
    pairs.sort_unstable_by_key(|(key, _)| *key);
    let pairs = pairs.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")));
    non_empty(pairs.collect::<Vec<_>>().join(","), NONE)
}

/// A `LabelSelector`, `<none>` when it selects by nothing and `<error>` when it has no meaning.
pub(super) fn format_label_selector(selector: Fields<'_>) -> String {
    requirements(selector).map_or_else(|| "<error>".to_owned(), |text| non_empty(text, NONE))
}

/// A `LabelSelector` as query text, `""` when it is empty; `None` for one that validation refuses
/// (no key, an unknown operator, a set operator without values).
pub(super) fn requirements(selector: Fields<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for (key, value) in selector.entries(&["matchLabels"]) {
        parts.push((key, format!("{key}={}", value.as_str().unwrap_or(""))));
    }
    for expression in selector.items(&["matchExpressions"]) {
        let key = expression.text(&["key"]);
        parts.push((key, requirement(key, expression)?));
    }
    parts.sort_by_key(|(key, _)| *key);
    Some(parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(","))
}

fn requirement(key: &str, expression: Fields<'_>) -> Option<String> {
    if key.is_empty() {
        return None;
    }
    let mut values = expression.texts(&["values"]);
    values.sort_unstable();
    match (expression.text(&["operator"]), values.is_empty()) {
        ("In", false) => Some(format!("{key} in ({})", values.join(","))),
        ("NotIn", false) => Some(format!("{key} notin ({})", values.join(","))),
        ("Exists", true) => Some(key.to_owned()),
        ("DoesNotExist", true) => Some(format!("!{key}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors() {
        let cases = [
            (json!(null), "<none>"),
            (json!({}), "<none>"),
            (json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2"),
            (
                json!({"matchLabels": {"m": ""}, "matchExpressions": [
                    {"key": "z", "operator": "In", "values": ["y", "x"]},
                    {"key": "a", "operator": "NotIn", "values": ["q"]},
                    {"key": "n", "operator": "Exists"},
                    {"key": "b", "operator": "DoesNotExist"},
                ]}),
                "a notin (q),!b,m=,n,z in (x,y)",
            ),
            (json!({"matchExpressions": [{"key": "a", "operator": "Like"}]}), "<error>"),
            (json!({"matchExpressions": [{"key": "a", "operator": "In"}]}), "<error>"),
            (json!({"matchExpressions": [{"operator": "Exists"}]}), "<error>"),
        ];
        for (selector, want) in cases {
            assert_eq!(format_label_selector(Fields(&selector)), want, "{selector}");
        }
    }
}
