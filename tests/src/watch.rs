//! A watch: events, one a line, as they come.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// How long an event that must come may take.
const EVENT: Duration = Duration::from_secs(20);

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    body: Incoming,
    rest: Vec<u8>,
}

impl Watch {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, rest: Vec::new() }
    }

    /// The next event; `None` at an orderly end.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes in time.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        self.within(EVENT).await
    }

    /// The next event, within this time.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes in time.
    pub async fn within(&mut self, time: Duration) -> Result<Option<Value>> {
        let event = tokio::time::timeout(time, self.read()).await;
        event.with_context(|| format!("no event within {time:?}"))?
    }

    async fn read(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            let Some(frame) = self.body.frame().await else {
                ensure!(self.rest.is_empty(), "the watch ended within an event");
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.rest.extend_from_slice(&data);
            }
        }
    }

    /// The next event that must be of this type; its object.
    ///
    /// # Errors
    /// When it is another one, or none.
    pub async fn expect(&mut self, kind: &str) -> Result<Value> {
        match self.next().await? {
            Some(mut event) if event["type"] == kind => Ok(event["object"].take()),
            Some(event) => bail!("{kind} was expected, not {event}"),
            None => bail!("{kind} was expected, not the end"),
        }
    }

    /// Reads until the orderly end; the events before it.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes in time.
    pub async fn to_end(&mut self) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }
}
