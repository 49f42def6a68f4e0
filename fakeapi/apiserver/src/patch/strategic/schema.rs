//! What a merge needs to know of the types it merges.

/// The merge rules of all types, as a table.
pub trait MergeSchema {
    /// Names one type (an object, or a map with values of one type).
    type Type: Copy;

    /// The rule of `field` in objects of type `of`; for a map type, of any member. `None` when
    /// the schema does not know the field: it then merges like a JSON merge patch.
    fn field(&self, of: Self::Type, field: &str) -> Option<FieldRule<'_, Self::Type>>;
}

/// How one field merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldRule<'a, T> {
    /// The type of the field's value, or of the items of its list; `None` for scalars and for
    /// what the schema does not describe.
    pub child: Option<T>,
    /// `x-kubernetes-patch-strategy`.
    pub strategy: Strategy,
    /// `x-kubernetes-patch-merge-key`: the member that tells items of a list apart.
    pub merge_key: Option<&'a str>,
}

impl<T> Default for FieldRule<'_, T> {
    fn default() -> Self {
        Self { child: None, strategy: Strategy::Unset, merge_key: None }
    }
}

/// The patch strategy that a field declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// Objects merge, lists are replaced.
    #[default]
    Unset,
    /// Lists merge: by merge key, or as a set when they hold scalars.
    Merge,
    /// The whole value is replaced.
    Replace,
    /// Like [`Strategy::Unset`]; tells clients to send `$retainKeys`, which the server honours
    /// wherever it stands.
    RetainKeys,
    /// Like [`Strategy::Merge`]; tells clients to send `$retainKeys` in items.
    MergeRetainKeys,
}

impl Strategy {
    /// Reads the extension's value, for example `merge,retainKeys`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::Unset),
            "merge" => Some(Self::Merge),
            "replace" => Some(Self::Replace),
            "retainKeys" => Some(Self::RetainKeys),
            "merge,retainKeys" | "retainKeys,merge" => Some(Self::MergeRetainKeys),
            _ => None,
        }
    }

    /// Whether lists merge.
    pub fn merges(self) -> bool {
        matches!(self, Self::Merge | Self::MergeRetainKeys)
    }
}
