//! Bytes from strangers: whatever they are, the answer is a value or an error.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    MAGIC, MAX_DEPTH, MAX_MESSAGES, ProtobufError, decode, decode_as, encode, envelope, golden,
    watch_frame,
    wire::{write_bytes_field, write_message_field},
};

/// The envelope of a Pod around the given message.
fn pod(raw: &[u8]) -> Vec<u8> {
    envelope::write("v1", "Pod", raw)
}

#[test]
fn faults_are_named() {
    let envelope_with = |field: u32, text: &[u8]| {
        let mut bytes = pod(&[]);
        write_bytes_field(&mut bytes, field, text);
        bytes
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"{}".to_vec(), "does not start with"),
        (Vec::new(), "does not start with"),
        (MAGIC.to_vec(), "no kind \"\""),
        (
            envelope::write("v1", "Nothing", &[]),
            "no kind \"Nothing\" is registered for version \"v1\"",
        ),
        (envelope_with(3, b"gzip"), "\"gzip\""),
        (envelope_with(4, b"application/cbor"), "\"application/cbor\""),
        (pod(&[0x0a, 9, 1]), "unexpected EOF"),
        (pod(&[0x08, 1]), "wrong wireType = 0 for field metadata of Pod"),
        (pod(&[0x0a, 3, 0x0a, 1, 0xff]), "field name contains invalid UTF-8"),
        // A creationTimestamp of 2^62 seconds.
        (
            pod(&[
                0x0a, 14, 0x42, 12, 8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40, 0x10,
                0,
            ]),
            "creationTimestamp has a value out of range",
        ),
    ];
    for (bytes, text) in cases {
        let error = decode(&bytes).expect_err(text).to_string();
        assert!(error.contains(text), "{bytes:?} gave {error}");
    }
}

#[test]
fn quantities_become_canonical_or_are_refused() {
    // A container whose only limit is of the given text.
    let limits = |text: &str| {
        let nested = |number: u32, inner: &[u8]| {
            let mut out = Vec::new();
            write_bytes_field(&mut out, number, inner);
            out
        };
        let entry = [nested(1, b"cpu"), nested(2, &nested(1, text.as_bytes()))].concat();
        pod(&nested(2, &nested(2, &nested(8, &nested(1, &entry)))))
    };
    let decoded = decode(&limits("1000m")).expect("decodes").value;
    assert_eq!(decoded["spec"]["containers"][0]["resources"], json!({ "limits": { "cpu": "1" } }));
    let error = decode(&limits("much")).expect_err("no quantity").to_string();
    assert_eq!(error, "field limits is not a quantity");
}

#[test]
fn a_document_may_leave_its_kind_to_the_path() {
    let bytes = envelope::write("", "", &[]);
    assert!(decode(&bytes).is_err());
    let decoded = decode_as(&bytes, "v1", "Namespace").expect("decodes");
    assert_eq!(
        decoded.value,
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {}, "spec": {}, "status": {} })
    );
}

#[test]
fn json_in_an_envelope_is_read() {
    let mut bytes = envelope::write("v1", "Pod", br#"{"spec":{"x":1}}"#);
    write_bytes_field(&mut bytes, 4, b"application/json");
    let decoded = decode(&bytes).expect("decodes").value;
    assert_eq!(decoded, json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "x": 1 } }));
}

#[test]
fn unknown_fields_are_skipped_and_parts_of_a_message_merge() {
    let mut raw = Vec::new();
    for text in ["metadata", "again"] {
        write_message_field(&mut raw, 1, |out| {
            let number = if text == "again" { 3 } else { 1 };
            write_bytes_field(out, number, text.as_bytes());
            write_bytes_field(out, 5000, b"unknown");
            Ok::<(), ProtobufError>(())
        })
        .expect("writes");
    }
    let decoded = decode(&envelope::write("v1", "Namespace", &raw)).expect("decodes").value;
    assert_eq!(decoded["metadata"], json!({ "name": "metadata", "namespace": "again" }));
}

#[test]
fn depth_is_bounded() {
    // A watch event whose object is a watch event, and so on, none of which names its kind.
    let mut document = envelope::write("v1", "WatchEvent", &[]);
    for _ in 0..=MAX_DEPTH {
        let frame = watch_frame("ADDED", &document).expect("a frame");
        document = envelope::write("v1", "WatchEvent", &frame[4..]);
    }
    assert!(matches!(decode(&document), Err(ProtobufError::TooDeep)));
    let schema = (0..MAX_DEPTH).fold(json!({}), |inner, _| json!({ "not": inner }));
    let crd = json!({ "spec": { "versions": [{ "schema": { "openAPIV3Schema": schema } }] } });
    let result = encode(&crd, "apiextensions.k8s.io/v1", "CustomResourceDefinition");
    assert!(matches!(result, Err(ProtobufError::TooDeep)));
}

#[test]
fn messages_are_bounded() {
    // Two bytes for each empty container.
    let containers = [0x12, 0].repeat(MAX_MESSAGES + 1);
    let mut raw = Vec::new();
    write_bytes_field(&mut raw, 2, &containers);
    assert!(matches!(decode(&pod(&raw)), Err(ProtobufError::TooManyMessages)));
}

#[test]
fn values_that_do_not_fit_are_told() {
    for (value, text) in [
        (json!([]), "not an object"),
        (json!({ "spec": [] }), "field spec is not an object"),
        (json!({ "spec": { "priority": 1.5 } }), "field priority is not a whole number"),
        (json!({ "spec": { "priority": 1_u64 << 40 } }), "not a whole number of 32 bits"),
        (json!({ "spec": { "containers": {} } }), "field containers is not a list"),
        (json!({ "metadata": { "labels": [] } }), "field labels is not a map"),
        (json!({ "metadata": { "labels": { "a": 1 } } }), "field labels is not text"),
        (json!({ "metadata": { "creationTimestamp": "soon" } }), "not an RFC 3339 time"),
    ] {
        let error = encode(&value, "v1", "Pod").expect_err(text).to_string();
        assert!(error.contains(text), "{value} gave {error}");
    }
}

#[test]
fn a_watch_frame_holds_the_document() {
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" },
        "spec": {}, "status": {} });
    let document = encode(&object, "v1", "Namespace").expect("encodes");
    let frame = watch_frame("ADDED", &document).expect("a frame");
    let (length, event) = frame.split_at(4);
    assert_eq!(u32::from_be_bytes(length.try_into().expect("four bytes")) as usize, event.len());
    let event = decode(&envelope::write("v1", "WatchEvent", event)).expect("decodes").value;
    assert_eq!(event, json!({ "type": "ADDED", "object": object }));
}

/// A document to spoil.
fn golden_bytes() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = golden::fixtures().into_iter().map(|vector| vector.protobuf).collect();
    prop::sample::select(all)
}

proptest! {
    #[test]
    fn random_bytes_never_panic(raw in prop::collection::vec(any::<u8>(), 0..300)) {
        for (api_version, kind) in [("v1", "Pod"), ("v1", "WatchEvent"), ("v1", "Nothing"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition")]
        {
            let _ = decode(&envelope::write(api_version, kind, &raw));
        }
        let _ = decode(&[MAGIC.as_slice(), &raw].concat());
    }

    #[test]
    fn spoiled_documents_never_panic_and_what_decodes_encodes_stably(
        mut bytes in golden_bytes(),
        spoils in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        for (position, byte) in spoils {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(first) = decode(&bytes) {
            // What was read can be written, and reading that gives the same again. JSON inside
            // an envelope may hold anything, so only what encodes is held to this.
            if let Ok(again) = encode(&first.value, &first.api_version, &first.kind) {
                let second = decode_as(&again, &first.api_version, &first.kind);
                let second = second.expect("what was encoded decodes").value;
                let third = encode(&second, &first.api_version, &first.kind);
                prop_assert_eq!(third.expect("encodes again"), again);
            }
        }
    }
}

#[test]
fn the_fixtures_are_not_trivial() {
    let pod = golden::fixtures().into_iter().find(|vector| vector.json["kind"] == "Pod");
    let pod = pod.expect("a Pod among the fixtures");
    assert!(pod.protobuf.len() > 5000 && pod.json["spec"]["containers"].is_array());
    assert_ne!(pod.json["status"], Value::Null);
}
