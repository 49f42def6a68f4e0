//! `/register`: a cluster comes and goes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use serde::Serialize;

use super::answer::Answer;
use super::bulk::Entry;
use super::control::Control;
use super::error::ControlError;
use super::go_json::{Body, InvalidJson, Object, encode};
use super::limits::BULK_IN_FLIGHT;
use super::query::Query;
use super::{name, pem_text};
use crate::addr::ClusterAddr;
use crate::register::{ClusterName, RegisterError, RegisterRequest, Registrar};

/// The query parameters that make a request of the first README's form.
const KEY_PARAMETERS: [&str; 4] = ["caKey", "caCert", "etcdKey", "etcdCert"];

/// Whether a query registers by itself, whatever the method.
pub(super) fn registers(query: &Query) -> bool {
    query.get("resource").is_some() && KEY_PARAMETERS.iter().any(|name| query.get(name).is_some())
}

/// `POST /register` with JSON: one cluster or an array of them.
pub(super) async fn post(control: &Control, body: Bytes) -> Result<Answer, ControlError> {
    match Body::decode(&body)? {
        Body::One(object) => {
            let text = one(control, Registration::from_object(&object)?).await?;
            Ok(Answer::json(text))
        }
        Body::Many(items) => many(control, items).await,
    }
}

/// The first README's form: everything is in the query, and the answer has no JSON type.
pub(super) async fn from_query(control: &Control, query: &Query) -> Result<Answer, ControlError> {
    let text = one(control, Registration::from_query(query)?).await?;
    Ok(Answer::plain(text))
}

/// `DELETE /register`.
pub(super) async fn delete(
    control: &Control,
    query: &Query,
    body: &Bytes,
) -> Result<Answer, ControlError> {
    let name = match name::of_query(query)? {
        Some(name) => name,
        None => name::of_object(&Body::decode(body)?.one()?)?,
    };
    let registrar = Arc::clone(&control.registrar);
    let outcome = control.finish(async move { registrar.unregister(&name).await }).await?;
    outcome.map_err(|source| ControlError::Other { source })?;
    Ok(Answer::empty())
}

/// One cluster to register.
#[derive(Debug)]
struct Registration {
    name: ClusterName,
    request: RegisterRequest,
}

impl Registration {
    fn from_object(object: &Object) -> Result<Self, ControlError> {
        let [ca_key, ca_cert, etcd_key, etcd_cert] = KEY_PARAMETERS.map(|name| object.text(name));
        Self::build(
            name::of_object(object)?,
            [ca_key?.as_deref(), ca_cert?.as_deref(), etcd_key?.as_deref(), etcd_cert?.as_deref()],
            object.text("address")?.as_deref(),
            object.text("version")?,
            object.strings_if_any("labels")?,
        )
    }

    fn from_query(query: &Query) -> Result<Self, ControlError> {
        Self::build(
            name::required(query)?,
            KEY_PARAMETERS.map(|name| query.text(name)),
            query.text("address"),
            query.text("version").map(str::to_owned),
            None,
        )
    }

    fn build(
        name: ClusterName,
        [ca_key, ca_cert, etcd_key, etcd_cert]: [Option<&str>; 4],
        address: Option<&str>,
        version: Option<String>,
        labels: Option<BTreeMap<String, String>>,
    ) -> Result<Self, ControlError> {
        let request = RegisterRequest {
            address: address.map(parse_address).transpose()?,
            ca: pem_text::ca(("caCert", ca_cert), ("caKey", ca_key))?,
            etcd_ca: pem_text::ca(("etcdCert", etcd_cert), ("etcdKey", etcd_key))?,
            version,
            labels,
        };
        Ok(Self { name, request })
    }

    async fn carry_out(self, registrar: &dyn Registrar) -> Result<ClusterAddr, ControlError> {
        let address_asked = self.request.address.is_some();
        let outcome: Result<ClusterAddr, RegisterError> =
            registrar.register(&self.name, self.request).await;
        outcome.map_err(|source| ControlError::Register { address_asked, source })
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, ControlError> {
    text.parse().map_err(|_| ControlError::Value {
        field: "address",
        problem: format!("{text:?} is not IP:PORT"),
    })
}

/// FKAS's answer, in the order its keys have.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Registered {
    resource_name: String,
    host: String,
    port: u16,
}

async fn one(control: &Control, registration: Registration) -> Result<String, ControlError> {
    let registrar = Arc::clone(&control.registrar);
    let resource_name = registration.name.to_string();
    let address =
        control.finish(async move { registration.carry_out(&*registrar).await }).await??;
    Ok(encode(&Registered { resource_name, host: address.ip().to_string(), port: address.port() }))
}

async fn many(
    control: &Control,
    items: Vec<Result<Object, InvalidJson>>,
) -> Result<Answer, ControlError> {
    let registrar = Arc::clone(&control.registrar);
    let entries: Vec<Entry> = control
        .finish(async move {
            stream::iter(items)
                .map(|item| item_entry(&*registrar, item))
                .buffered(BULK_IN_FLIGHT)
                .collect()
                .await
        })
        .await?;
    Ok(Answer::json(encode(&entries)))
}

async fn item_entry(registrar: &dyn Registrar, item: Result<Object, InvalidJson>) -> Entry {
    let name = item.as_ref().ok().and_then(|item| name::of_object(item).ok());
    let entry = name.as_ref().map(Entry::cluster).unwrap_or_default();
    let registration =
        item.map_err(ControlError::from).and_then(|item| Registration::from_object(&item));
    let outcome = match registration {
        Ok(registration) => registration.carry_out(registrar).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(address) => entry.at(address),
        Err(error) => entry.failed(&error),
    }
}
