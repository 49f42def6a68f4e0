//! Why a command failed.

use std::io;
use std::path::PathBuf;

use crate::client::ClientError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The control port did not do it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Arguments that clap cannot tell are wrong together.
    #[error("{0}")]
    Arguments(&'static str),
    /// The server sent YAML that is none.
    #[error("the answer is not YAML")]
    Yaml(#[source] serde_saphyr::Error),
    /// A file is no YAML.
    #[error("the file is not YAML")]
    FileYaml(#[source] serde_saphyr::Error),
    /// An answer cannot be shown as YAML.
    #[error("the answer cannot be written as YAML")]
    ToYaml(#[source] serde_saphyr::SerializeError),
    /// Nothing can be written to standard output.
    #[error("could not write the output")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The exit code: 2 for wrong usage, else 1.
    pub fn code(&self) -> u8 {
        match self {
            Self::Arguments(_) => 2,
            Self::Client(_)
            | Self::File { .. }
            | Self::Yaml(_)
            | Self::FileYaml(_)
            | Self::ToYaml(_)
            | Self::Output(_) => 1,
        }
    }
}
