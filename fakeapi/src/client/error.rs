//! Why a call of the control port failed.

use http::StatusCode;

/// Why a call of the control port failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's address is of no use.
    #[error("{server:?} is not an http://HOST:PORT URL")]
    Server {
        /// The address.
        server: String,
    },
    /// A request cannot be put into words.
    #[error("could not write the request")]
    Request(#[source] http::Error),
    /// The server is not there.
    #[error("could not reach {server}")]
    Unreachable {
        /// The address.
        server: String,
        /// Why.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// The server did not answer in time.
    #[error("{server} did not answer within {seconds} s")]
    Late {
        /// The address.
        server: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The answer broke off or is too long.
    #[error("the answer of {server} could not be read")]
    Answer {
        /// The address.
        server: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what the control port says.
    #[error("the answer of {server} is not the control port's")]
    Meaning {
        /// The address.
        server: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The answer to an array has another length.
    #[error("{sent} items were sent, {answered} were answered")]
    Count {
        /// Items sent.
        sent: usize,
        /// Items answered.
        answered: usize,
    },
    /// The server refused.
    #[error("{}", match cause { Some(cause) => format!("{message}: {cause}"), None => message.clone() })]
    Refused {
        /// Its code.
        status: StatusCode,
        /// What it said.
        message: String,
        /// Why, where its words are only FKAS's.
        cause: Option<String>,
    },
}
