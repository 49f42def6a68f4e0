//! A tenant that cannot be reached or is out of service, as its clients see it.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::tls;

/// How an outage looks to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Outage {
    /// Connections are reset as soon as they are made, and those that were open are closed: the
    /// process has crashed behind a proxy.
    Refuse = 1,
    /// Connections are made and nothing comes; those that are open stand still, too: the process
    /// has stopped. What was asked is answered when the outage is over.
    Hang,
    /// Connections are reset at the client's first bytes, and those that were open are closed.
    Reset,
    /// TLS handshakes fail with an alert, and connections that were open are closed.
    TlsFailure,
    /// Connections that were open are closed; new ones work, and every request is answered 503.
    Unavailable,
}

impl Outage {
    const ALL: [Self; 5] =
        [Self::Refuse, Self::Hang, Self::Reset, Self::TlsFailure, Self::Unavailable];

    /// Whether connections that are open when it begins are closed.
    fn cuts(self) -> bool {
        self != Self::Hang
    }
}

/// Whether there is an outage, for all of a tenant's connections to see.
#[derive(Debug, Default)]
pub struct OutageSwitch {
    /// The outage as a number, 0 for none.
    now: AtomicU8,
    /// How often open connections were cut.
    cuts: AtomicU32,
    changed: Notify,
}

impl OutageSwitch {
    /// The outage there is now.
    pub fn now(&self) -> Option<Outage> {
        let now = self.now.load(Ordering::Acquire);
        Outage::ALL.into_iter().find(|outage| *outage as u8 == now)
    }

    /// Begins or ends an outage. Open connections are cut when one begins that is not there yet.
    pub fn set(&self, outage: Option<Outage>) {
        let number = outage.map_or(0, |outage| outage as u8);
        if self.now.swap(number, Ordering::AcqRel) == number {
            return;
        }
        if outage.is_some_and(Outage::cuts) {
            self.cuts.fetch_add(1, Ordering::AcqRel);
        }
        self.changed.notify_waiters();
    }

    /// How often open connections were cut: one that began at this count is to go when it differs.
    pub(super) fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::Acquire)
    }

    /// Completes when connections that began at this count are to go.
    pub(super) async fn cut_since(&self, began: u32) {
        self.until(|| self.cuts() != began).await;
    }

    /// Completes when the tenant hangs, or does not.
    pub(super) async fn hangs(&self, wanted: bool) {
        self.until(|| (self.now() == Some(Outage::Hang)) == wanted).await;
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            // Listens first: a change that comes after the look is not missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if reached() {
                return;
            }
            changed.await;
        }
    }
}

/// The switch of tenants that never have an outage.
pub(super) static NEVER: LazyLock<Arc<OutageSwitch>> = LazyLock::new(Arc::default);

/// A TLS configuration with which no handshake succeeds: the client gets an alert.
pub(super) static NO_TLS: LazyLock<Arc<ServerConfig>> =
    LazyLock::new(|| tls::config(Arc::new(NoCertificate)));

#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn connections_of_before_are_cut_and_later_ones_are_not() {
        let switch = OutageSwitch::default();
        let before = switch.cuts();
        let mut cut = std::pin::pin!(switch.cut_since(before));
        assert!(cut.as_mut().now_or_never().is_none());
        switch.set(Some(Outage::Hang));
        assert_eq!(switch.now(), Some(Outage::Hang));
        assert!(cut.as_mut().now_or_never().is_none());
        switch.hangs(true).await;
        switch.set(Some(Outage::Unavailable));
        cut.await;
        switch.hangs(false).await;
        let after = switch.cuts();
        switch.set(Some(Outage::Unavailable));
        switch.set(None);
        assert!(switch.cut_since(after).now_or_never().is_none());
        assert_eq!(switch.now(), None);
    }
}
