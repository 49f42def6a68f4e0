//! Field selectors: `spec.nodeName=n1,status.phase!=Failed`.

use std::borrow::Cow;
use std::fmt;

use super::{SelectorError, fields};

/// One condition on one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    /// The field's dotted path, for example `spec.nodeName`.
    pub field: Cow<'static, str>,
    /// Whether the field must have the value, or must not.
    pub equal: bool,
    /// The value, with its backslashes taken out.
    pub value: String,
}

/// Requirements on fields, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Parses the form of the `fieldSelector` query parameter. Which fields the kind knows is
    /// not asked here: see [`FieldSelector::for_resource`].
    ///
    /// # Errors
    /// With the server's text when a term has no operator or a wrong backslash.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::with_capacity(terms.len());
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let (field, equal, value) = split_term(term).ok_or_else(|| SelectorError::Term {
                selector: text.to_owned(),
                term: term.to_owned(),
            })?;
            let value = unescape(value)?;
            if field.is_empty() && value.is_empty() {
                continue; // a bare operator asks for nothing
            }
            let field = Cow::Owned(field.to_owned());
            requirements.push(FieldRequirement { field, equal, value });
        }
        Ok(Self { requirements })
    }

    /// The selector in the names under which [`fields::value`] knows the fields of `resource`
    /// (group and plural name).
    ///
    /// # Errors
    /// When objects of this resource cannot be selected by one of the fields.
    pub fn for_resource(mut self, resource: (&str, &str)) -> Result<Self, SelectorError> {
        for requirement in &mut self.requirements {
            requirement.field = Cow::Borrowed(fields::resolve(resource, &requirement.field)?);
        }
        Ok(self)
    }

    /// The selector, checked for a custom resource that declares `selectable` fields (dotted
    /// paths, as `spec.color`).
    ///
    /// # Errors
    /// When one of the fields is not selectable.
    pub fn for_custom(self, selectable: &[&str], namespaced: bool) -> Result<Self, SelectorError> {
        for requirement in &self.requirements {
            fields::check_custom(selectable, namespaced, &requirement.field)?;
        }
        Ok(self)
    }

    /// The requirements, sorted as the server sorts them: by the text of their terms.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value that `field` must have, when there is such a requirement: `metadata.name` lets
    /// a list become a get.
    pub fn required(&self, field: &str) -> Option<&str> {
        let one = self.requirements.iter().find(|one| one.equal && one.field == field)?;
        Some(&one.value)
    }

    /// Whether the fields that `get` looks up are selected; an unset field is the empty string.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.requirements.iter().all(|one| {
            let value = get(&one.field).unwrap_or_default();
            (value == one.value.as_str()) == one.equal
        })
    }

    /// [`FieldSelector::matches`] on a whole object.
    pub fn matches_object(&self, object: &serde_json::Value) -> bool {
        self.matches(|field| Some(fields::value(object, field)))
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if one.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}", one.field)?;
            for c in one.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Cuts at commas that no backslash precedes; the backslashes stay.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// The field, whether it must be equal, and the value still escaped.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    term.char_indices().find_map(|(index, _)| {
        let (field, rest) = term.split_at(index);
        if let Some(value) = rest.strip_prefix("!=") {
            return Some((field, false, value));
        }
        let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
        Some((field, true, value))
    })
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(SelectorError::Escape(format!("\\{c}"))),
                None => return Err(SelectorError::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(SelectorError::Unescaped(c)),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, canonical) in [
            ("", ""),
            (",", ""),
            ("x=a,y=b", "x=a,y=b"),
            ("y==b,x!=a", "x!=a,y=b"),
            ("x=", "x="),
            ("metadata.name=n1", "metadata.name=n1"),
            (r"x=a\,b\=c\\d", r"x=a\,b\=c\\d"),
            ("x=a!b", "x=a!b"),
            ("=a", "=a"),
        ] {
            assert_eq!(FieldSelector::parse(text).expect(text).to_string(), canonical);
        }
        let read = FieldSelector::parse(r"x=a\,b\=c\\d").expect("valid");
        assert_eq!(read.requirements()[0].value, r"a,b=c\d");
        assert_eq!(read.required("x"), Some(r"a,b=c\d"));
        assert_eq!(FieldSelector::parse("x!=a").expect("valid").required("x"), None);
    }

    #[test]
    fn refused_with_the_servers_text() {
        for (text, error) in [
            ("x", "invalid selector: 'x'; can't understand 'x'"),
            ("a=1,x y", "invalid selector: 'a=1,x y'; can't understand 'x y'"),
            ("x=a=b", "invalid field selector: unescaped character in value: 61"),
            ("x===b", "invalid field selector: unescaped character in value: 61"),
            (r"x=a\b", r"invalid field selector: invalid escape sequence: \b"),
            (r"x=a\", r"invalid field selector: invalid escape sequence: \"),
        ] {
            assert_eq!(FieldSelector::parse(text).expect_err(text).to_string(), error);
        }
    }

    #[test]
    fn an_unset_field_is_the_empty_string() {
        let selects = |selector: &str, value: Option<&'static str>| {
            FieldSelector::parse(selector).expect(selector).matches(|_| value.map(Cow::Borrowed))
        };
        assert!(selects("x=", None));
        assert!(selects("x!=a", None));
        assert!(!selects("x!=", None));
        assert!(selects("x=a", Some("a")));
        assert!(!selects("x=a,y!=a", Some("a")));
    }

    proptest! {
        #[test]
        fn a_value_survives_escaping(value in ".{0,12}") {
            let requirement =
                FieldRequirement { field: Cow::Borrowed("f"), equal: true, value };
            let selector = FieldSelector { requirements: vec![requirement] };
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
        }
    }
}
