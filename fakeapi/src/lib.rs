//! fakeapi impersonates many Kubernetes clusters on one machine, each at a virtual address.
//!
//! Read the modules in the order data moves: `ipam` and `netlink` give a cluster its address,
//! `datapath` steers packets for it, `serve` turns a connection into requests, `cluster` is what
//! answers, `journal` is what survives, `fkas` is how clusters are registered.

pub mod addr;
pub mod app;
pub mod behaviour;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod datapath;
pub mod etcd;
pub mod fkas;
pub mod ipam;
pub mod journal;
pub mod manage;
pub mod netlink;
pub mod register;
pub mod registry;
pub mod serve;
