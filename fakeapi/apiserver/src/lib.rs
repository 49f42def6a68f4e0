//! Kubernetes API machinery as a library: a request comes in, a response goes out, and what
//! lies between is the real server's behaviour over a [`storage`](crate::storage) of your own.
//!
//! The crate knows nothing of clusters, addresses or transports.

#![forbid(unsafe_code)]

pub mod generated;
pub mod json;
pub mod names;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod selector;
pub mod storage;
pub mod table;
pub mod types;
pub mod yaml;
