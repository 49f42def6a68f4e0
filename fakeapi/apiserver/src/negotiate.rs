//! In which form an answer is wanted.

use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};

use crate::request::Query;
use crate::status::Status;
use crate::table::{IncludeObject, TableVersion};

/// JSON, as everybody accepts it.
pub const JSON: &str = "application/json";
/// YAML.
pub const YAML: &str = "application/yaml";
/// Kubernetes' protobuf envelope.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// The bytes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// What of an object is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All of it.
    Whole,
    /// A row of columns for people.
    Table(TableVersion, IncludeObject),
    /// Its metadata alone.
    PartialMetadata(TableVersion),
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Its bytes.
    pub encoding: Encoding,
    /// Its content.
    pub shape: Shape,
    /// Whether JSON is indented.
    pub pretty: bool,
}

impl Form {
    /// Plain JSON.
    pub const JSON: Self = Self { encoding: Encoding::Json, shape: Shape::Whole, pretty: false };

    /// Chooses the first acceptable form.
    ///
    /// JSON is chosen before protobuf where both are accepted in full: it is what is stored.
    ///
    /// # Errors
    /// 406 when nothing that is accepted can be made.
    pub fn choose(headers: &HeaderMap, query: &Query) -> Result<Self, Status> {
        let pretty =
            query.flag("pretty") || (query.all("pretty").next().is_none() && by_hand(headers));
        let include = IncludeObject::parse(query.get("includeObject"))
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let mut accepts: Vec<Accept<'_>> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Accept::parse)
            .collect();
        if accepts.is_empty() {
            return Ok(Self { pretty, ..Self::JSON });
        }
        accepts.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        let forms = || accepts.iter().filter_map(|accept| accept.form(include, pretty));
        let first =
            forms().next().ok_or_else(|| Status::not_acceptable(&[JSON, YAML, PROTOBUF]))?;
        let plain = Self { pretty, ..Self::JSON };
        let json_will_do =
            first == Self { encoding: Encoding::Protobuf, ..plain } && forms().any(|f| f == plain);
        Ok(if json_will_do { plain } else { first })
    }

    /// The `Content-Type` of an answer in this form.
    pub fn content_type(self) -> &'static str {
        match self.encoding {
            Encoding::Json => JSON,
            Encoding::Yaml => YAML,
            Encoding::Protobuf => PROTOBUF,
        }
    }

    /// The same bytes with whole objects: the form in which a refusal is told.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { shape: Shape::Whole, ..self }
    }
}

/// People who read with these tools get indented JSON without asking, as from the real server.
fn by_hand(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|tool| agent.starts_with(tool))
}

/// One entry of an `Accept` header.
struct Accept<'a> {
    media: &'a str,
    quality: f32,
    as_: Option<&'a str>,
    group: Option<&'a str>,
    version: Option<&'a str>,
    stream: bool,
}

impl<'a> Accept<'a> {
    fn parse(entry: &'a str) -> Option<Self> {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next().filter(|media| !media.is_empty())?;
        let mut accept =
            Self { media, quality: 1.0, as_: None, group: None, version: None, stream: false };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim() {
                "q" => accept.quality = value.trim().parse().unwrap_or(0.0),
                "as" => accept.as_ = Some(value.trim()),
                "g" => accept.group = Some(value.trim()),
                "v" => accept.version = Some(value.trim()),
                "stream" => accept.stream = true,
                _ => {}
            }
        }
        (accept.quality > 0.0).then_some(accept)
    }

    fn form(&self, include: IncludeObject, pretty: bool) -> Option<Form> {
        let encoding = match self.media {
            "*/*" | "application/*" | JSON => Encoding::Json,
            YAML => Encoding::Yaml,
            PROTOBUF => Encoding::Protobuf,
            _ => return None,
        };
        let shape = self.shape(include)?;
        // Tables are for people and have no protobuf form here; the next entry serves.
        let unsupported = encoding == Encoding::Protobuf && shape != Shape::Whole;
        (!unsupported).then_some(Form { encoding, shape, pretty })
    }

    fn shape(&self, include: IncludeObject) -> Option<Shape> {
        let Some(kind) = self.as_ else {
            return Some(Shape::Whole);
        };
        let version = TableVersion::parse(self.version.unwrap_or("v1"))?;
        match (kind, self.group.unwrap_or("meta.k8s.io")) {
            ("Table", "meta.k8s.io") => Some(Shape::Table(version, include)),
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io") => {
                Some(Shape::PartialMetadata(version))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(accept: &str) -> Result<Form, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        Form::choose(&headers, &Query::default())
    }

    #[test]
    fn what_clients_send_is_understood() {
        let table = Shape::Table(TableVersion::V1, IncludeObject::Metadata);
        let cases = [
            ("application/json", Encoding::Json, Shape::Whole),
            ("*/*", Encoding::Json, Shape::Whole),
            ("application/vnd.kubernetes.protobuf, */*", Encoding::Json, Shape::Whole),
            ("application/vnd.kubernetes.protobuf", Encoding::Protobuf, Shape::Whole),
            ("application/yaml", Encoding::Yaml, Shape::Whole),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,\
                 application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Encoding::Json,
                table,
            ),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
                 application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                Encoding::Json,
                Shape::PartialMetadata(TableVersion::V1),
            ),
            ("application/json;as=Unknown;v=v1;g=x,application/json", Encoding::Json, Shape::Whole),
        ];
        for (accept, encoding, shape) in cases {
            let form = choose(accept).unwrap();
            assert_eq!((form.encoding, form.shape), (encoding, shape), "{accept}");
        }
        assert_eq!(choose("text/html").unwrap_err().code, 406);
    }
}
