//! Objects reduced to their metadata, for clients that only keep track of what exists.

use serde_json::{Value, json};

use super::options::TableVersion;
use super::writer::{ListMeta, append_list_meta, append_partial};

/// The object as `PartialObjectMetadata`.
#[must_use]
pub fn partial_metadata(object: &Value, version: TableVersion) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": version.api_version(),
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// Objects as a `PartialObjectMetadataList`; [`PartialListWriter`] is the form for long lists.
#[must_use]
pub fn partial_metadata_list<'a>(
    objects: impl IntoIterator<Item = &'a Value>,
    meta: &ListMeta<'_>,
    version: TableVersion,
) -> Value {
    let items: Vec<_> =
        objects.into_iter().map(|object| partial_metadata(object, version)).collect();
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": version.api_version(),
        "metadata": meta,
        "items": items,
    })
}

/// Writes a `PartialObjectMetadataList` item by item onto a buffer that the caller may drain
/// between calls.
#[derive(Debug)]
pub struct PartialListWriter {
    version: TableVersion,
    items: usize,
}

impl PartialListWriter {
    /// Writes everything up to the first item.
    pub fn begin(out: &mut Vec<u8>, version: TableVersion, meta: &ListMeta<'_>) -> Self {
        out.extend_from_slice(br#"{"kind":"PartialObjectMetadataList","apiVersion":""#);
        out.extend_from_slice(version.api_version().as_bytes());
        out.extend_from_slice(br#"","metadata":"#);
        append_list_meta(out, meta);
        out.extend_from_slice(br#","items":["#);
        Self { version, items: 0 }
    }

    /// Writes one item from the object's encoded metadata, which must be a JSON object.
    pub fn item(&mut self, out: &mut Vec<u8>, metadata: &[u8]) {
        if self.items > 0 {
            out.push(b',');
        }
        append_partial(out, self.version, metadata);
        self.items += 1;
    }

    /// Writes the end and gives the number of items.
    pub fn finish(self, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(b"]}\n");
        self.items
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn both_list_forms_agree() {
        let objects = [
            json!({"kind": "Pod", "metadata": {"name": "a", "uid": "1"}, "spec": {"x": 1}}),
            json!({"metadata": {"name": "b"}}),
        ];
        let meta = ListMeta { resource_version: "7", continue_: "", remaining_item_count: Some(3) };
        let version = TableVersion::V1Beta1;
        let mut out = Vec::new();
        let mut writer = PartialListWriter::begin(&mut out, version, &meta);
        for object in &objects {
            writer.item(&mut out, object["metadata"].to_string().as_bytes());
        }
        assert_eq!(writer.finish(&mut out), 2);
        let written: Value = serde_json::from_slice(&out).expect("the writer writes JSON");
        assert_eq!(written, partial_metadata_list(&objects, &meta, version));
        assert_eq!(
            written,
            json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1beta1",
                "metadata": {"resourceVersion": "7", "remainingItemCount": 3},
                "items": [
                    {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1beta1",
                     "metadata": {"name": "a", "uid": "1"}},
                    {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1beta1",
                     "metadata": {"name": "b"}},
                ],
            })
        );
    }
}
