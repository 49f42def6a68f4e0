//! YAML as the real server reads it: bodies of server-side apply and of clients that send
//! `application/yaml`.
//!
//! The server's library implements YAML 1.1 with its own notions: `yes`, `on` and even `y` are
//! booleans, `010` is eight, only the first document counts. What a scalar means therefore is
//! decided here (in `resolve`), on the events of a parser that knows only the syntax; a
//! serde-based YAML library would decide it by its own rules.

mod resolve;

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Value};

use crate::json::MAX_DUPLICATES;
use crate::names::quote;

/// Deepest nesting of a document, the same as for JSON.
pub const MAX_DEPTH: usize = crate::json::MAX_DEPTH;

/// Below these counts aliases are never refused.
const FREE_ALIASED: usize = 100;
const FREE_NODES: usize = 1000;
/// Up to the first count of nodes 99 of 100 may come from aliases, from the second on 10.
const SMALL_DOCUMENT: usize = 400_000;
const LARGE_DOCUMENT: usize = 4_000_000;

/// The namespace that `!!` stands for.
const YAML_NAMESPACE: &str = "tag:yaml.org,2002:";

/// Why bytes are no acceptable YAML document.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The bytes are not UTF-8.
    #[error("yaml: invalid UTF-8")]
    Encoding(#[from] std::str::Utf8Error),
    /// The syntax is wrong.
    #[error("yaml: {0}")]
    Syntax(ScanError),
    /// A node says something that JSON cannot.
    #[error("yaml: {0}")]
    Meaning(String),
    /// Keys occur twice in one mapping.
    #[error("yaml: unmarshal errors:\n  {}", .0.join("\n  "))]
    Duplicates(Vec<String>),
}

/// A document and what strict decoding would complain about.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The first document; of a key that occurs twice the last value.
    pub value: Value,
    /// One complaint for each key that occurs twice: `line 3: key "a" already set in map`.
    pub duplicates: Vec<String>,
}

/// Decodes the first document of `bytes`, refusing keys that occur twice.
///
/// # Errors
/// See [`YamlError`]; the text is what the server adds to `error strict decoding YAML: `.
pub fn to_json(bytes: &[u8]) -> Result<Value, YamlError> {
    let decoded = decode(bytes)?;
    if decoded.duplicates.is_empty() {
        Ok(decoded.value)
    } else {
        Err(YamlError::Duplicates(decoded.duplicates))
    }
}

/// Decodes the first document of `bytes`; an empty stream is `null`.
///
/// # Errors
/// See [`YamlError`]; duplicates are no error here.
pub fn decode(bytes: &[u8]) -> Result<Decoded, YamlError> {
    let text = std::str::from_utf8(bytes)?;
    let mut reader = Reader {
        text,
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        duplicates: Vec::new(),
        nodes: 0,
        aliased: 0,
    };
    loop {
        match reader.next()? {
            (Event::StreamStart, _) => {}
            (Event::DocumentStart(..), _) => break,
            _ => {
                return Ok(Decoded { value: Value::Null, duplicates: Vec::new() });
            }
        }
    }
    let value = reader.node(0)?.value;
    // Reads on to the end of the document, so that what follows the node is judged.
    reader.next()?;
    Ok(Decoded { value, duplicates: reader.duplicates })
}

/// What an anchor stands for.
#[derive(Clone)]
struct Anchored {
    value: Value,
    /// Nodes in the value, itself included.
    nodes: usize,
}

struct Node {
    value: Value,
    line: usize,
    /// A plain `<<`.
    merges: bool,
}

struct Reader<'a> {
    text: &'a str,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Anchored>,
    duplicates: Vec<String>,
    nodes: usize,
    aliased: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        loop {
            match self.events.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(event) => return event.map_err(YamlError::Syntax),
                None => {
                    let text = "unexpected end of the stream".to_owned();
                    return Err(YamlError::Meaning(text));
                }
            }
        }
    }

    /// Reads one whole node.
    fn node(&mut self, depth: usize) -> Result<Node, YamlError> {
        let (event, span) = self.next()?;
        self.node_from(event, span, depth)
    }

    fn node_from(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, YamlError> {
        if depth > MAX_DEPTH {
            return Err(YamlError::Meaning(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let before = self.nodes;
        self.count(1, 0)?;
        let line = span.start.line();
        let mut merges = false;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                merges = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let text = self.without_invented_break(&text, style, &span);
                (scalar(text, style, tag.as_deref())?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => (self.alias(anchor, &span)?, 0),
            _ => {
                return Err(YamlError::Meaning("did not find expected node content".to_owned()));
            }
        };
        if anchor != 0 {
            let nodes = self.nodes - before;
            self.anchors.insert(anchor, Anchored { value: value.clone(), nodes });
        }
        Ok(Node { value, line, merges })
    }

    /// A block scalar that ends with the stream instead of a line break has none; the parser
    /// adds one.
    fn without_invented_break<'t>(
        &self,
        text: &'t str,
        style: ScalarStyle,
        span: &Span,
    ) -> &'t str {
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return text;
        }
        let cut = span.slice(self.text).is_some_and(|source| {
            self.text.ends_with(source) && !source.is_empty() && !source.ends_with('\n')
        });
        if cut { text.strip_suffix('\n').unwrap_or(text) } else { text }
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.node_from(event, span, depth + 1)?.value),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut members = Map::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Object(members)),
                (event, span) => self.node_from(event, span, depth + 1)?,
            };
            let Node { value, line, .. } = self.node(depth + 1)?;
            let entries = if key.merges {
                merged(value)?
            } else {
                vec![(resolve::key(&key.value).map_err(YamlError::Meaning)?, value)]
            };
            for (name, value) in entries {
                if members.contains_key(&name) && self.duplicates.len() < MAX_DUPLICATES {
                    let shown = match key.value {
                        Value::Number(_) | Value::Bool(_) => name.clone(),
                        _ => quote(&name),
                    };
                    self.duplicates.push(format!("line {line}: key {shown} already set in map"));
                }
                members.insert(name, value);
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Value, YamlError> {
        let Some(nodes) = self.anchors.get(&anchor).map(|anchored| anchored.nodes) else {
            let name = span.slice(self.text).unwrap_or_default();
            let name = name.trim_start_matches('*');
            return Err(YamlError::Meaning(format!("anchor '{name}' value contains itself")));
        };
        // Counted before it is copied: a document of nested aliases is refused while small.
        self.count(nodes, nodes)?;
        Ok(self.anchors[&anchor].value.clone())
    }

    /// Counts nodes, some of them out of aliases, and refuses when aliases dominate.
    fn count(&mut self, nodes: usize, aliased: usize) -> Result<(), YamlError> {
        self.nodes += nodes;
        self.aliased += aliased;
        if self.aliased <= FREE_ALIASED || self.nodes <= FREE_NODES {
            return Ok(());
        }
        // In hundredths of a percent, so that integers do.
        let allowed = match self.nodes {
            ..=SMALL_DOCUMENT => 9900,
            LARGE_DOCUMENT.. => 1000,
            n => 9900 - 8900 * (n - SMALL_DOCUMENT) / (LARGE_DOCUMENT - SMALL_DOCUMENT),
        };
        if self.aliased.saturating_mul(10_000) > self.nodes.saturating_mul(allowed) {
            return Err(YamlError::Meaning("document contains excessive aliasing".to_owned()));
        }
        Ok(())
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, YamlError> {
    match tag {
        None if style == ScalarStyle::Plain => resolve::plain(text),
        None => Ok(Value::from(text)),
        Some(tag) => match tag.suffix_in_namespace(YAML_NAMESPACE) {
            Some(kind) => resolve::tagged(&kind, text),
            None => Ok(Value::from(text)),
        },
    }
    .map_err(YamlError::Meaning)
}

/// The members that `<<` adds: those of a mapping, or of several, the earlier ones last so that
/// they win.
fn merged(value: Value) -> Result<Vec<(String, Value)>, YamlError> {
    let maps = match value {
        Value::Array(maps) => maps,
        one => vec![one],
    };
    let mut entries = Vec::new();
    for map in maps.into_iter().rev() {
        let Value::Object(members) = map else {
            let text = "map merge requires map or sequence of maps as the value";
            return Err(YamlError::Meaning(text.to_owned()));
        };
        entries.extend(members);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
