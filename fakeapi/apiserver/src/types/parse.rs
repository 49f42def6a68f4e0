//! Reads the embedded table. Its texts are kept once, in the decompressed table itself.

use std::io::Read as _;

use flate2::read::GzDecoder;
use thiserror::Error;

use super::{Field, Kind, KindEntry, ListType, Message, PatchStrategy, Shape, TypeRef, TypeTable};

/// Messages the table may hold; references to them are 16 bits.
const MAX_MESSAGES: usize = u16::MAX as usize;

/// The embedded table is not what this version reads.
#[derive(Debug, Error)]
pub(super) enum TableError {
    #[error("the table could not be decompressed")]
    Compressed(#[from] std::io::Error),
    #[error("line {line} is not an entry: {reason}")]
    Line { line: usize, reason: &'static str },
    #[error("{0}")]
    Table(&'static str),
}

/// A message while its fields are still coming in.
struct Draft {
    name: &'static str,
    shape: Shape,
    atomic: bool,
    fields: Vec<Field>,
}

/// Reads a compressed table. What it holds stays for the life of the process.
pub(super) fn table(compressed: &[u8]) -> Result<TypeTable, TableError> {
    let mut text = String::new();
    GzDecoder::new(compressed).read_to_string(&mut text)?;
    let mut drafts: Vec<Draft> = Vec::new();
    let mut kinds = Vec::new();
    for (number, line) in text.leak().lines().enumerate() {
        read_line(line, &mut drafts, &mut kinds)
            .map_err(|reason| TableError::Line { line: number + 1, reason })?;
    }
    if drafts.len() > MAX_MESSAGES {
        return Err(TableError::Table("too many messages"));
    }
    let is_known = |reference: TypeRef| usize::from(reference.index) < drafts.len();
    let fields_known =
        drafts.iter().flat_map(|draft| &draft.fields).all(|field| match field.kind {
            Kind::Message(message) => is_known(message),
            _ => true,
        });
    if !fields_known || !kinds.iter().all(|entry| is_known(entry.root)) {
        return Err(TableError::Table("a reference to no message"));
    }
    if !drafts.is_sorted_by(|a, b| a.name < b.name) {
        return Err(TableError::Table("messages are not sorted"));
    }
    kinds.sort_by_key(|entry| (entry.group, entry.version, entry.kind));
    Ok(TypeTable { messages: finish(drafts), kinds: kinds.into() })
}

fn read_line(
    line: &'static str,
    drafts: &mut Vec<Draft>,
    kinds: &mut Vec<KindEntry>,
) -> Result<(), &'static str> {
    let columns: Vec<&'static str> = line.split('\t').collect();
    match *columns.as_slice() {
        ["M", name, shape, atomic] => drafts.push(Draft {
            name,
            shape: read_shape(shape)?,
            atomic: atomic == "atomic",
            fields: Vec::new(),
        }),
        ["F", ..] => {
            let draft = drafts.last_mut().ok_or("a field before any message")?;
            draft.fields.push(read_field(&columns)?);
        }
        ["K", group, version, kind, index] => {
            kinds.push(KindEntry { group, version, kind, root: read_reference(index)? });
        }
        _ => return Err("unknown kind of entry"),
    }
    Ok(())
}

fn read_shape(text: &str) -> Result<Shape, &'static str> {
    Ok(match text {
        "object" => Shape::Object,
        "time" => Shape::Time,
        "microTime" => Shape::MicroTime,
        "duration" => Shape::Duration,
        "quantity" => Shape::Quantity,
        "intOrString" => Shape::IntOrString,
        "raw" => Shape::Raw,
        "json" => Shape::Json,
        "strings" => Shape::Strings,
        "schemaOrArray" => Shape::SchemaOrArray,
        "schemaOrBool" => Shape::SchemaOrBool,
        "schemaOrStrings" => Shape::SchemaOrStrings,
        _ => return Err("unknown shape"),
    })
}

fn read_reference(text: &str) -> Result<TypeRef, &'static str> {
    text.parse().map(|index| TypeRef { index }).map_err(|_| "not the index of a message")
}

fn read_field(columns: &[&'static str]) -> Result<Field, &'static str> {
    let ["F", number, name, kind, flags, list, keys, merge_key, strategy, default, go_type] =
        *columns
    else {
        return Err("a field has eleven columns");
    };
    let kind = match kind {
        "i32" => Kind::Int32,
        "i64" => Kind::Int64,
        "f64" => Kind::Double,
        "bool" => Kind::Bool,
        "str" => Kind::String,
        "bytes" => Kind::Bytes,
        other => Kind::Message(read_reference(other.strip_prefix('@').ok_or("unknown type")?)?),
    };
    let list_type = match (list, keys) {
        ("" | "granular", _) => None,
        ("atomic", _) => Some(ListType::Atomic),
        ("set", _) => Some(ListType::Set),
        ("map", keys) => Some(ListType::Map(keys.split(',').collect::<Vec<_>>().leak())),
        _ => return Err("unknown list type"),
    };
    let present = |text: &'static str| (!text.is_empty()).then_some(text);
    Ok(Field {
        name,
        repeated: flags.contains('r'),
        map: flags.contains('m'),
        required: flags.contains('R'),
        list_type,
        patch_merge_key: present(merge_key),
        patch_strategy: read_strategy(strategy)?,
        default_json: present(default),
        go_type: present(go_type),
        number: number.parse().map_err(|_| "not a field number")?,
        kind,
        pointer: flags.contains('p'),
        omit_empty: flags.contains('o'),
        omit_zero: flags.contains('z'),
        inline: flags.contains('i'),
    })
}

fn read_strategy(text: &str) -> Result<PatchStrategy, &'static str> {
    let mut strategy = PatchStrategy::default();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        match word {
            "merge" => strategy.merge = true,
            "replace" => strategy.replace = true,
            "retainKeys" => strategy.retain_keys = true,
            _ => return Err("unknown patch strategy"),
        }
    }
    Ok(strategy)
}

/// Orders fields for the wire and for JSON, once every message is known.
fn finish(drafts: Vec<Draft>) -> Box<[Message]> {
    struct Fixed {
        name: &'static str,
        shape: Shape,
        atomic: bool,
        fields: &'static [Field],
    }
    let fixed: Vec<Fixed> = drafts
        .into_iter()
        .map(|Draft { name, shape, atomic, mut fields }| {
            fields.sort_by_key(|field| field.number);
            Fixed { name, shape, atomic, fields: fields.leak() }
        })
        .collect();
    let own: Vec<&'static [Field]> = fixed.iter().map(|message| message.fields).collect();
    fixed
        .into_iter()
        .map(|Fixed { name, shape, atomic, fields }| {
            let mut json = Vec::new();
            flatten(fields, &own, &mut json);
            // A field of the message itself hides one of an embedded message, as in Go; the sort
            // is stable and outer fields come first.
            json.sort_by_key(|field| field.name);
            json.dedup_by_key(|field| field.name);
            Message { name, shape, atomic, fields, json: json.into() }
        })
        .collect()
}

fn flatten(fields: &'static [Field], own: &[&'static [Field]], json: &mut Vec<&'static Field>) {
    json.extend(fields.iter().filter(|field| !field.inline));
    for field in fields.iter().filter(|field| field.inline) {
        if let Kind::Message(message) = field.kind {
            flatten(own[usize::from(message.index)], own, json);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read(text: &str) -> Result<TypeTable, TableError> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).expect("writes to memory");
        table(&encoder.finish().expect("writes to memory"))
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (text, reason) in [
            ("X\n", "unknown kind of entry"),
            ("M\ta\tcube\t\n", "unknown shape"),
            ("F\t1\ta\tstr\t\t\t\t\t\t\t\n", "before any message"),
            ("M\ta\tobject\t\nF\t1\ta\tu8\t\t\t\t\t\t\t\n", "unknown type"),
            ("M\ta\tobject\t\nF\t1\ta\tstr\t\t\t\n", "eleven columns"),
            ("M\ta\tobject\t\nF\t1\ta\t@9\t\t\t\t\t\t\t\n", "reference to no message"),
            ("M\ta\tobject\t\nK\t\tv1\tA\t7\n", "reference to no message"),
            ("M\tb\tobject\t\nM\ta\tobject\t\n", "not sorted"),
        ] {
            let error = read(text).map(|_| ()).expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?} gave {error}");
        }
    }

    #[test]
    fn outer_fields_hide_embedded_ones() {
        let table = read(
            "M\ta\tobject\t\n\
             F\t1\t\t@1\ti\t\t\t\t\t\t\n\
             F\t2\tname\tbool\t\t\t\t\t\t\t\n\
             M\tb\tobject\t\n\
             F\t1\tname\tstr\t\t\t\t\t\t\t\n\
             F\t2\tother\tstr\t\t\t\t\t\t\t\n",
        )
        .expect("a table");
        let names: Vec<_> = table.messages[0].json.iter().map(|f| (f.name, f.kind)).collect();
        assert_eq!(names, [("name", Kind::Bool), ("other", Kind::String)]);
    }
}
