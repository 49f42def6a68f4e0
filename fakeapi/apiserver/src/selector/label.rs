//! The label selector itself: requirements, all of which must hold.

use std::fmt;

use crate::names;

use super::SelectorError;

/// How a requirement's key relates to its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `key in (a,b)`: present with one of the values.
    In,
    /// `key notin (a,b)`: absent, or present with none of the values.
    NotIn,
    /// `key=a`.
    Equals,
    /// `key==a`; the same as [`Operator::Equals`] but printed as it was written.
    DoubleEquals,
    /// `key!=a`: absent, or another value.
    NotEquals,
    /// `key`: present.
    Exists,
    /// `!key`: absent.
    DoesNotExist,
    /// `key>n`: present and an integer above n.
    GreaterThan,
    /// `key<n`: present and an integer below n.
    LessThan,
}

/// One condition on one label key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// Checks the key, the number of values and each value.
    ///
    /// # Errors
    /// The server's text of all faults: one plain, several as `[a, b]`.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        let mut faults = Vec::new();
        let key_faults = names::qualified_name(key);
        if !key_faults.is_empty() {
            let quoted = names::quote(key);
            faults.push(format!("key: Invalid value: {quoted}: {}", key_faults.join("; ")));
        }
        faults.extend(count_fault(operator, &values));
        for (index, value) in values.iter().enumerate() {
            value_faults(key, operator, index, value, &mut faults);
        }
        faults.dedup();
        match faults.len() {
            0 => Ok(Self { key: key.to_owned(), operator, values }),
            1 => Err(faults.remove(0)),
            _ => Err(format!("[{}]", faults.join(", "))),
        }
    }

    /// The label key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The relation between key and values.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values, as many as the operator takes.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether an object whose label `key` has this value (or none) meets the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|wanted| wanted == value);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value, |have, want| have > want),
            Operator::LessThan => self.compare(value, |have, want| have < want),
        }
    }

    fn compare(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let have = value.and_then(|value| value.parse().ok());
        let want = self.values.first().and_then(|value| value.parse().ok());
        have.zip(want).is_some_and(|(have, want)| holds(have, want))
    }
}

fn count_fault(operator: Operator, values: &[String]) -> Option<String> {
    let (wrong, text) = match operator {
        Operator::In | Operator::NotIn => {
            (values.is_empty(), "for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => {
            (values.len() != 1, "exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist => {
            (!values.is_empty(), "values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan => {
            (values.len() != 1, "for 'Gt', 'Lt' operators, exactly one value is required")
        }
    };
    wrong.then(|| {
        // The server prints an empty list as the null it is in Go.
        let shown = if values.is_empty() {
            "null".to_owned()
        } else {
            serde_json::Value::from(values).to_string()
        };
        format!("values: Invalid value: {shown}: {text}")
    })
}

fn value_faults(key: &str, operator: Operator, index: usize, value: &str, out: &mut Vec<String>) {
    let quoted = names::quote(value);
    let numeric = matches!(operator, Operator::GreaterThan | Operator::LessThan);
    if numeric && value.parse::<i64>().is_err() {
        out.push(format!(
            "values[{index}]: Invalid value: {quoted}: for 'Gt', 'Lt' operators, the value must \
             be an integer"
        ));
    }
    let faults = names::label_value(value);
    if !faults.is_empty() {
        let faults = faults.join("; ");
        out.push(format!("values[{index}][{key}]: Invalid value: {quoted}: {faults}"));
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let mut sorted: Vec<&str> = values.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let values = sorted.join(",");
        match operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// Requirements on labels, all of which must hold; sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// The selector of all objects; what an empty string and an empty object mean.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The selector of no object; what an absent `metav1.LabelSelector` means.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// The selector of these requirements.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// Parses the form of the `labelSelector` query parameter, for example
    /// `tier=control-plane,component in (etcd,kube-apiserver),!canary`.
    ///
    /// # Errors
    /// With the server's text when the grammar, a key or a value is wrong.
    ///
    /// ```
    /// # use apiserver::selector::LabelSelector;
    /// let selector = LabelSelector::parse("tier in (a,b),!canary").unwrap();
    /// assert!(selector.matches(|key| (key == "tier").then_some("a")));
    /// ```
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        super::label_parse::parse(text).map(Self::new)
    }

    /// Whether the labels that `get` looks up are selected.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|one| one.matches(get(&one.key)))
    }

    /// Whether every object is selected, so that the caller need not look at labels.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

impl fmt::Display for LabelSelector {
    /// The form that [`LabelSelector::parse`] reads, as `status.selector` of a scale shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &'static str)]) -> bool {
        let selector = LabelSelector::parse(selector).expect(selector);
        selector.matches(|key| labels.iter().find(|(name, _)| *name == key).map(|(_, v)| *v))
    }

    #[test]
    fn matching() {
        let yes: &[(&str, &[(&str, &'static str)])] = &[
            ("", &[("x", "y")]),
            ("x=y,z=w", &[("x", "y"), ("z", "w")]),
            ("x!=y,z!=w", &[("x", "z"), ("z", "a")]),
            ("x!=y", &[]),
            ("notin=in", &[("notin", "in")]),
            ("x", &[("x", "")]),
            ("!x", &[("y", "z")]),
            ("x>1", &[("x", "2")]),
            ("x<1", &[("x", "-5")]),
            ("x=", &[("x", "")]),
            ("x in ()", &[("x", "")]),
            ("x in (a,,b)", &[("x", "")]),
            ("x notin (a,b)", &[]),
            ("x notin (a,b)", &[("x", "c")]),
            ("a.b/c=d", &[("a.b/c", "d")]),
        ];
        for (selector, labels) in yes {
            assert!(selects(selector, labels), "{selector} should select {labels:?}");
        }
        let no: &[(&str, &[(&str, &'static str)])] = &[
            ("x=z", &[]),
            ("x=y", &[("x", "z")]),
            ("x=y,z=w", &[("x", "w"), ("z", "w")]),
            ("x!=y,z!=w", &[("x", "z"), ("z", "w")]),
            ("x", &[("y", "z")]),
            ("!x", &[("x", "z")]),
            ("x>1", &[("x", "1")]),
            ("x>1", &[("x", "two")]),
            ("x<1", &[]),
            ("x in (a,b)", &[("x", "c")]),
            ("x in (a,b)", &[]),
            ("x notin (a,b)", &[("x", "a")]),
        ];
        for (selector, labels) in no {
            assert!(!selects(selector, labels), "{selector} should not select {labels:?}");
        }
        assert!(!LabelSelector::nothing().matches(|_| Some("a")));
    }

    #[test]
    fn requirement_rules() {
        let text = |key, operator, values: &[&str]| {
            let values = values.iter().map(|&v| v.to_owned()).collect();
            Requirement::new(key, operator, values).expect_err("is wrong")
        };
        assert_eq!(
            text("x", Operator::In, &[]),
            "values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty"
        );
        assert_eq!(
            text("x", Operator::Exists, &["a"]),
            "values: Invalid value: [\"a\"]: values set must be empty for exists and does not exist"
        );
        let both = text("x", Operator::LessThan, &["a b"]);
        assert!(both.starts_with("[values[0]: Invalid value: \"a b\": for 'Gt'"), "{both}");
        assert!(both.contains(", values[0][x]: Invalid value: \"a b\": a valid label"), "{both}");
        assert!(
            text("a b", Operator::Exists, &[]).starts_with("key: Invalid value: \"a b\": name")
        );
    }
}
