//! What a command shows, in the form that was asked for.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::error::CliError;
use super::table;

/// How answers are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns, or a line, for a person.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Where a command shows its answer.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    format: Format,
    colour: bool,
}

impl<W: Write> Screen<W> {
    /// A screen that writes to `out`. Colours are used on a terminal unless `NO_COLOR` is set.
    pub fn new(out: W, format: Format, terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { out, format, colour: terminal && !refused }
    }

    /// Shows `value`, as a table made of `header` and `rows` where one is asked for.
    pub(super) fn list<const N: usize>(
        &mut self,
        value: &impl Serialize,
        header: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table => Ok(table::write(&mut self.out, self.colour, header, rows)?),
            Format::Json | Format::Yaml => self.value(value),
        }
    }

    /// Shows that something was done: a line for a person, an object for a program.
    pub(super) fn done(&mut self, what: &str, name: &str, result: &str) -> Result<(), CliError> {
        match self.format {
            Format::Table => Ok(writeln!(self.out, "{what} {name} {result}")?),
            Format::Json | Format::Yaml => {
                self.value(&serde_json::json!({ "kind": what, "name": name, "result": result }))
            }
        }
    }

    /// Shows YAML documents as they are, or as JSON: several become a Kubernetes `List`.
    pub(super) fn documents(&mut self, yaml: &str) -> Result<(), CliError> {
        if self.format != Format::Json {
            return Ok(self.out.write_all(yaml.as_bytes())?);
        }
        let documents: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(yaml).map_err(CliError::Yaml)?;
        match documents.as_slice() {
            [one] => self.value(one),
            items => self.value(&serde_json::json!({
                "apiVersion": "v1",
                "kind": "List",
                "items": items,
            })),
        }
    }

    /// Shows one object: as YAML where no program asks.
    pub(super) fn document(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        match self.format {
            Format::Json => self.value(value),
            Format::Table | Format::Yaml => {
                let text = serde_saphyr::to_string(value).map_err(CliError::ToYaml)?;
                Ok(writeln!(self.out, "{}", text.trim_end())?)
            }
        }
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Sends everything out.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn value(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        match self.format {
            Format::Yaml => {
                let text = serde_saphyr::to_string(value).map_err(CliError::ToYaml)?;
                writeln!(self.out, "{}", text.trim_end())?;
            }
            Format::Json | Format::Table => {
                serde_json::to_writer_pretty(&mut self.out, value).map_err(io::Error::from)?;
                writeln!(self.out)?;
            }
        }
        Ok(())
    }
}
