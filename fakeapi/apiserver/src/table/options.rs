//! What a client may ask of a Table: the version of the document and what rides with each row.

use thiserror::Error;

/// The version of the Table, and of the `PartialObjectMetadata` in its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableVersion {
    /// `meta.k8s.io/v1`.
    #[default]
    V1,
    /// `meta.k8s.io/v1beta1`, which clients older than 1.15 ask for.
    V1Beta1,
}

impl TableVersion {
    /// The version that the `v` parameter of an Accept header names, `None` for others.
    #[must_use]
    pub fn parse(version: &str) -> Option<Self> {
        match version {
            "v1" => Some(Self::V1),
            "v1beta1" => Some(Self::V1Beta1),
            _ => None,
        }
    }

    /// The document's `apiVersion`.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What a row's `object` holds: the query parameter `includeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// `null`.
    None,
    /// The object's metadata, the default.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

/// A value of `includeObject` that is none of the three. Its text is the message of the 400.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "Unable to convert to Table as requested: includeObject: Invalid value: {value:?}: must be \
     'Metadata', 'Object', 'None', or empty"
)]
pub struct InvalidIncludeObject {
    /// What the client sent.
    pub value: String,
}

impl IncludeObject {
    /// Reads the query parameter; absent and empty mean [`Self::Metadata`].
    ///
    /// # Errors
    /// Another value than the three, which are case-sensitive.
    pub fn parse(value: Option<&str>) -> Result<Self, InvalidIncludeObject> {
        match value.unwrap_or_default() {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => Err(InvalidIncludeObject { value: other.to_owned() }),
        }
    }

    /// What the row of the bookmark that ends a watch's initial events holds: its annotation must
    /// reach the client, so it carries metadata even where the client wanted nothing.
    #[must_use]
    pub const fn for_initial_events_end(self) -> Self {
        match self {
            Self::None => Self::Metadata,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn include_object() {
        assert_eq!(IncludeObject::parse(None), Ok(IncludeObject::Metadata));
        assert_eq!(IncludeObject::parse(Some("")), Ok(IncludeObject::Metadata));
        assert_eq!(IncludeObject::parse(Some("None")), Ok(IncludeObject::None));
        assert_eq!(IncludeObject::parse(Some("Object")), Ok(IncludeObject::Object));
        let error = IncludeObject::parse(Some("object")).expect_err("lower case is refused");
        assert_eq!(
            error.to_string(),
            "Unable to convert to Table as requested: includeObject: Invalid value: \"object\": \
             must be 'Metadata', 'Object', 'None', or empty"
        );
    }

    #[test]
    fn the_end_of_initial_events_keeps_its_metadata() {
        assert_eq!(IncludeObject::None.for_initial_events_end(), IncludeObject::Metadata);
        assert_eq!(IncludeObject::Object.for_initial_events_end(), IncludeObject::Object);
    }

    #[test]
    fn versions() {
        assert_eq!(TableVersion::parse("v1"), Some(TableVersion::V1));
        assert_eq!(TableVersion::parse("v1beta1"), Some(TableVersion::V1Beta1));
        assert_eq!(TableVersion::parse("v2"), None);
    }
}
