//! Why a selector was refused, in the server's words.

/// A selector that cannot be understood. The text is what the server puts into its 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// One requirement of a label selector is wrong: its syntax, its key or its value.
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
    /// Something else than a requirement, a comma or the end.
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        /// The token as written.
        found: String,
        /// What could have stood there.
        expected: &'static str,
    },
    /// A `metav1.LabelSelector` whose requirement breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// A `metav1.LabelSelector` with an operator that is none.
    #[error("{} is not a valid label selector operator", crate::names::quote(.0))]
    Operator(String),
    /// A `metav1.LabelSelector` that is not of its JSON shape.
    #[error("{field}: must be {expected}")]
    Shape {
        /// Path of the field inside the selector.
        field: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A field selector term without an operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole selector.
        selector: String,
        /// The part that was not understood.
        term: String,
    },
    /// A backslash in a field selector before something that needs none.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// `,` or `=` in a field selector's value without a backslash. The server prints the number.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
    /// The kind cannot be selected by this field; the text depends on the kind.
    #[error("{0}")]
    UnsupportedField(String),
}
