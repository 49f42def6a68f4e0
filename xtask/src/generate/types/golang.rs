//! Reads struct tags out of Go sources: they alone say how a field is written as JSON.
//!
//! The files are formatted by gofmt, one field a line, so a line reader is enough; a message for
//! which it finds nothing fails the generation.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;

use crate::generate::modules::read;

/// Declarations of one Go package.
#[derive(Default)]
pub(super) struct Source {
    /// Value of the constant `GroupName`; the core group is the empty text.
    pub(super) group: Option<String>,
    pub(super) structs: BTreeMap<String, Vec<GoField>>,
    /// Named types that are a slice of text, such as `Verbs`.
    pub(super) lists: Vec<String>,
    /// Names that stand for another package's type, such as `v1.Rule` for `Rule`.
    aliases: BTreeMap<String, String>,
    /// Types that are another package's: that package's import path and type name.
    pub(super) renamed: BTreeMap<String, (String, String)>,
}

/// One field of a Go struct.
pub(super) struct GoField {
    /// Protobuf field number; none when the field is not on the wire.
    pub(super) number: Option<u32>,
    /// Name in JSON; empty when the field is embedded.
    pub(super) json: String,
    /// Go type as written, such as `*int32`.
    pub(super) go_type: String,
    /// Go type as Go itself names it, such as `v1.Protocol`: with the name of the type's package
    /// instead of what the file calls it.
    pub(super) qualified: String,
    pub(super) omit_empty: bool,
    pub(super) omit_zero: bool,
}

impl GoField {
    /// Whether its fields stand among those of the struct around it.
    pub(super) fn is_inline(&self) -> bool {
        self.json.is_empty()
    }

    /// Whether the field is a struct's `TypeMeta`, which makes that struct a kind.
    pub(super) fn is_type_meta(&self) -> bool {
        self.is_inline() && self.number.is_none() && self.go_type.ends_with("TypeMeta")
    }
}

impl Source {
    /// Reads every hand-written file of a package.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Self> {
        let mut source = Self::default();
        let mut files: Vec<_> = std::fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        for file in files.iter().filter(|file| is_source(file)) {
            source.scan(&read(file)?).with_context(|| format!("in {}", file.display()))?;
        }
        for field in source.structs.values_mut().flatten() {
            if let Some(same) = source.aliases.get(&field.qualified) {
                field.qualified.clone_from(same);
            }
        }
        Ok(source)
    }

    fn scan(&mut self, text: &str) -> anyhow::Result<()> {
        let mut lines = text.lines();
        let mut package = "";
        let mut imports = BTreeMap::new();
        while let Some(line) = lines.next() {
            if let Some(value) = constant(line, "GroupName") {
                self.group = Some(value.to_owned());
            }
            if let Some(name) = line.strip_prefix("package ") {
                package = name;
            }
            if let Some((alias, path)) = import(line) {
                imports.insert(alias, path);
            }
            let Some((name, definition)) =
                line.strip_prefix("type ").and_then(|rest| rest.split_once(' '))
            else {
                continue;
            };
            let target = definition.trim_start_matches("= ").split_once('.');
            if let Some((alias, other)) = target
                && let Some(path) = imports.get(alias)
            {
                if definition.starts_with('=') {
                    let same = format!("{}.{other}", last_segment(path));
                    self.aliases.insert(format!("{package}.{name}"), same);
                }
                let target = ((*path).to_owned(), other.to_owned());
                self.renamed.insert(name.to_owned(), target);
            } else if definition == "[]string" {
                self.lists.push(name.to_owned());
            } else if definition.starts_with("struct {") && !definition.ends_with('}') {
                let mut fields = lines
                    .by_ref()
                    .take_while(|line| *line != "}")
                    .filter_map(|line| field(line).transpose())
                    .collect::<anyhow::Result<Vec<_>>>()
                    .with_context(|| format!("in struct {name}"))?;
                for field in &mut fields {
                    field.qualified = qualify(&field.go_type, package, &imports);
                }
                self.structs.insert(name.to_owned(), fields);
            } else if definition.starts_with("struct{") || definition.starts_with("struct {") {
                self.structs.insert(name.to_owned(), Vec::new());
            }
        }
        Ok(())
    }
}

/// Whether a file is Go code people write.
fn is_source(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let generated = name.starts_with("zz_generated") || name.ends_with(".pb.go");
    file.extension().is_some_and(|extension| extension == "go")
        && !name.ends_with("_test.go")
        && !generated
}

/// The text a line such as `const GroupName = "apps"` assigns.
fn constant<'t>(line: &'t str, name: &str) -> Option<&'t str> {
    let line = line.trim();
    let rest = line.strip_prefix("const ").unwrap_or(line).strip_prefix(name)?;
    rest.trim_start().strip_prefix('=')?.trim().strip_prefix('"')?.strip_suffix('"')
}

/// The alias and path of a line such as `v1 "k8s.io/api/apps/v1"` inside an import list.
fn import(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (alias, path) = line.split_once(' ').unwrap_or(("", line));
    let path = path.strip_prefix('"')?.strip_suffix('"')?;
    Some((if alias.is_empty() { last_segment(path) } else { alias }, path))
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Names a type by its package, as Go's reflection does.
fn qualify(go_type: &str, package: &str, imports: &BTreeMap<&str, &str>) -> String {
    const BUILT_IN: [&str; 7] = ["string", "int", "int32", "int64", "bool", "float64", "any"];
    let go_type = go_type.trim_start_matches('*');
    if go_type == "byte" {
        return "uint8".to_owned();
    }
    if let Some(item) = go_type.strip_prefix("[]") {
        return format!("[]{}", qualify(item, package, imports));
    }
    if let Some((key, value)) = go_type.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
        let (key, value) = (qualify(key, package, imports), qualify(value, package, imports));
        return format!("map[{key}]{value}");
    }
    match go_type.split_once('.') {
        Some((alias, name)) => {
            let package = imports.get(alias).map_or(alias, |path| last_segment(path));
            format!("{package}.{name}")
        }
        None if BUILT_IN.contains(&go_type) => go_type.to_owned(),
        None => format!("{package}.{go_type}"),
    }
}

/// Reads a field; lines without a tag declare nothing that is encoded.
fn field(line: &str) -> anyhow::Result<Option<GoField>> {
    let line = line.trim();
    if line.starts_with("//") {
        return Ok(None);
    }
    let Some((declaration, rest)) = line.split_once('`') else {
        return Ok(None);
    };
    let tags = rest.split('`').next().unwrap_or_default();
    let mut words = declaration.split_whitespace();
    let first = words.next().context("a tag without a field")?;
    let go_type = words.collect::<String>();
    let embedded = go_type.is_empty();
    let json = tag(tags, "json").unwrap_or_default();
    let mut options = json.split(',');
    let name = options.next().unwrap_or_default();
    let options: Vec<&str> = options.collect();
    if name == "-" {
        return Ok(None);
    }
    let number = match tag(tags, "protobuf").and_then(|tag| tag.split(',').nth(1)) {
        Some(number) => Some(number.parse().with_context(|| format!("number of {first}"))?),
        None => None,
    };
    let json = match (name, embedded) {
        ("", false) => first.to_owned(),
        _ => name.to_owned(),
    };
    Ok(Some(GoField {
        number,
        json,
        go_type: if embedded { first.to_owned() } else { go_type },
        qualified: String::new(),
        omit_empty: options.contains(&"omitempty"),
        omit_zero: options.contains(&"omitzero"),
    }))
}

fn tag<'t>(tags: &'t str, name: &str) -> Option<&'t str> {
    tags.split_whitespace()
        .find_map(|tag| tag.strip_prefix(name)?.strip_prefix(":\"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_of_a_struct() {
        let mut source = Source::default();
        source
            .scan(
                "package v1\n\
                 import (\n\
                 \tmeta \"example.com/meta/v2\"\n\
                 \t\"example.com/pkg/types\"\n\
                 )\n\
                 const GroupName = \"apps\"\n\
                 type Verbs []string\n\
                 type Pod struct {\n\
                 \tmetav1.TypeMeta `json:\",inline\"`\n\
                 \t// Old *int `json:\"old\"`\n\
                 \tSpec PodSpec `json:\"spec,omitempty\" protobuf:\"bytes,2,opt,name=spec\"`\n\
                 \tPorts []*int32 `json:\"ports\" protobuf:\"varint,3,rep\"`\n\
                 \tUID types.UID `json:\"uid\" protobuf:\"bytes,4,opt\"`\n\
                 \tAll map[Name]*meta.Thing `json:\"all\" protobuf:\"bytes,5,rep\"`\n\
                 \thidden int\n\
                 }\n",
            )
            .expect("scans");
        assert_eq!(source.group.as_deref(), Some("apps"));
        assert_eq!(source.lists, ["Verbs"]);
        let fields = &source.structs["Pod"];
        assert_eq!(fields.len(), 5);
        assert_eq!(fields[3].qualified, "types.UID");
        assert_eq!(fields[4].qualified, "map[v1.Name]v2.Thing");
        assert!(fields[0].is_type_meta());
        assert_eq!((fields[1].json.as_str(), fields[1].number), ("spec", Some(2)));
        assert!(fields[1].omit_empty && !fields[2].omit_empty);
        assert_eq!(fields[2].go_type, "[]*int32");
    }
}
