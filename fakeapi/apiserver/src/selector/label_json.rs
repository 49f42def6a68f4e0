//! `metav1.LabelSelector`, the form inside objects (`spec.selector` of a Deployment or a PDB).

use serde_json::{Map, Value};

use super::SelectorError;
use super::label::{LabelSelector, Operator, Requirement};

impl LabelSelector {
    /// Reads `{"matchLabels": {..}, "matchExpressions": [..]}`. `null` selects nothing, an
    /// empty object everything, as in the real controllers.
    ///
    /// # Errors
    /// When the JSON has another shape, or a requirement breaks the rules for labels.
    pub fn from_json(selector: &Value) -> Result<Self, SelectorError> {
        let selector = match selector {
            Value::Null => return Ok(Self::nothing()),
            Value::Object(selector) => selector,
            _ => return Err(shape("selector", "an object")),
        };
        let mut requirements = match_labels(selector)?;
        match selector.get("matchExpressions") {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => {
                for (index, one) in list.iter().enumerate() {
                    requirements.push(expression(index, one)?);
                }
            }
            Some(_) => return Err(shape("matchExpressions", "a list")),
        }
        Ok(Self::new(requirements))
    }
}

fn match_labels(selector: &Map<String, Value>) -> Result<Vec<Requirement>, SelectorError> {
    let labels = match selector.get("matchLabels") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(labels)) => labels,
        Some(_) => return Err(shape("matchLabels", "a map of strings")),
    };
    labels
        .iter()
        .map(|(key, value)| {
            let value =
                value.as_str().ok_or_else(|| shape(&format!("matchLabels[{key}]"), "a string"))?;
            Requirement::new(key, Operator::Equals, vec![value.to_owned()])
                .map_err(SelectorError::Invalid)
        })
        .collect()
}

fn expression(index: usize, expression: &Value) -> Result<Requirement, SelectorError> {
    let field = |name: &str| format!("matchExpressions[{index}].{name}");
    let text = |name: &str| match expression.get(name) {
        None => Ok(""),
        Some(value) => value.as_str().ok_or_else(|| shape(&field(name), "a string")),
    };
    let operator = match text("operator")? {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(SelectorError::Operator(other.to_owned())),
    };
    let values = match expression.get("values") {
        None | Some(Value::Null) => Vec::new(),
        Some(values) => serde_json::from_value(values.clone())
            .map_err(|_| shape(&field("values"), "a list of strings"))?,
    };
    Requirement::new(text("key")?, operator, values).map_err(SelectorError::Invalid)
}

fn shape(field: &str, expected: &'static str) -> SelectorError {
    SelectorError::Shape { field: field.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_labels_and_expressions() {
        for (selector, canonical) in [
            (json!({}), ""),
            (json!({"matchLabels": {"b": "1", "a": ""}}), "a=,b=1"),
            (
                json!({"matchExpressions": [
                    {"key": "k", "operator": "NotIn", "values": ["y", "x"]},
                    {"key": "e", "operator": "Exists"},
                    {"key": "d", "operator": "DoesNotExist", "values": []},
                ]}),
                "!d,e,k notin (x,y)",
            ),
        ] {
            let read = LabelSelector::from_json(&selector).expect("valid");
            assert_eq!(read.to_string(), canonical);
        }
        assert_eq!(LabelSelector::from_json(&Value::Null), Ok(LabelSelector::nothing()));
    }

    #[test]
    fn refuses_what_is_no_selector() {
        let values = "values: Invalid value: null: for 'in', 'notin' operators, values set can't";
        for (selector, error) in [
            (json!([]), "selector: must be an object"),
            (json!({"matchLabels": {"a": 1}}), "matchLabels[a]: must be a string"),
            (json!({"matchLabels": {"a b": "c"}}), "key: Invalid value: \"a b\": name part"),
            (
                json!({"matchExpressions": [{"key": "k", "operator": "Gt"}]}),
                "\"Gt\" is not a valid label selector operator",
            ),
            (json!({"matchExpressions": [{"key": "k", "operator": "In"}]}), values),
            (
                json!({"matchExpressions": [{"key": "k", "operator": "In", "values": [1]}]}),
                "matchExpressions[0].values: must be a list of strings",
            ),
        ] {
            let refusal = LabelSelector::from_json(&selector).expect_err("invalid").to_string();
            assert!(refusal.starts_with(error), "{selector}: {refusal}");
        }
    }
}
