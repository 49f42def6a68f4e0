//! What the kernel does with a cluster's packets: written down with the cluster, so that it goes
//! on after a restart.

use std::io;
use std::sync::Arc;

use super::cluster::Cluster;
use super::record::{Change, encode};
use super::{Registry, failed};
use crate::journal::{JOURNAL_SHARDS, Record};
use crate::register::{Fault, RegisterError};

impl Registry {
    /// Lets a cluster have a fault; returns when the disk has it. It is the cluster's turn, so
    /// that nothing else changes it and the cluster does not end meanwhile.
    pub(super) async fn give_fault(
        &self,
        cluster: &Cluster,
        fault: Fault,
    ) -> Result<(), RegisterError> {
        let before = *cluster.fault.read();
        // First the kernel, which may refuse: what cannot act is not written down.
        self.tell_kernel(cluster, fault)?;
        if fault == before {
            return Ok(());
        }
        if let Err(error) = cluster.write_fault(fault) {
            if let Err(error) = self.tell_kernel(cluster, before) {
                let cluster = cluster.name();
                tracing::error!(%cluster, %error, "a fault acts that is not written down");
            }
            return Err(failed("the fault could not be written to the journal")(error));
        }
        cluster.sync().await
    }

    /// Ends the fault of a cluster that is gone, and that it can have another: in port mode other
    /// clusters share the address it is on.
    pub(super) fn clear_fault(&self, cluster: &Cluster) {
        cluster.gone.cancel();
        let fault = std::mem::take(&mut *cluster.fault.write());
        if fault == Fault::None {
            return;
        }
        if let Err(error) = self.tell_kernel(cluster, Fault::None) {
            let cluster = cluster.name();
            tracing::warn!(%cluster, %error, "the fault of a cluster that is gone stays");
        }
    }

    /// Lets the faults act that the journal has. Those that cannot act in this run end.
    ///
    /// # Errors
    /// When the end of one cannot be written down.
    pub async fn resume_faults(&self) -> Result<(), RegisterError> {
        for cluster in (0..JOURNAL_SHARDS).flat_map(|shard| self.clusters.of_shard(shard)) {
            self.resume_fault(&cluster).await?;
        }
        Ok(())
    }

    async fn resume_fault(&self, cluster: &Arc<Cluster>) -> Result<(), RegisterError> {
        let fault = *cluster.fault.read();
        if fault == Fault::None {
            return Ok(());
        }
        let Err(error) = self.tell_kernel(cluster, fault) else { return Ok(()) };
        let name = cluster.name();
        tracing::warn!(cluster = %name, ?fault, %error, "cannot act in this run, and ends");
        cluster
            .write_fault(Fault::None)
            .map_err(failed("the end of a fault could not be written to the journal"))?;
        cluster.sync().await
    }

    fn tell_kernel(&self, cluster: &Cluster, fault: Fault) -> Result<(), RegisterError> {
        let arrivals = self.arrivals.get();
        arrivals.map_or(Ok(()), |arrivals| arrivals.set_fault(cluster.address(), fault))
    }
}

impl Cluster {
    /// Writes a fault down and has it: a snapshot has both, or neither.
    fn write_fault(&self, fault: Fault) -> io::Result<()> {
        self.store.note(|revision| {
            let body = encode(&Change::Fault(fault));
            self.store.log().write(&Record::Base { revision, body: &body })?;
            *self.fault.write() = fault;
            Ok(())
        })
    }
}
