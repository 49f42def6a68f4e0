//! One leader by a Lease, by the rules of client-go's leader election: the holder renews, others
//! take over when they have seen no renewal for the lease's duration by their own clock, and a
//! holder that cannot renew stops before that.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// The times of an election.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// How long others wait after a renewal before they take over.
    pub(super) duration: Duration,
    /// How long the holder goes on without a renewal. Less than `duration`.
    pub(super) renew_within: Duration,
    /// How long between tries.
    pub(super) retry: Duration,
}

impl Default for Times {
    /// client-go's.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_within: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A Lease that this process wants to hold.
pub(super) struct Lease {
    api: Api<Object>,
    name: String,
    identity: String,
    times: Times,
    /// What was last seen of the Lease, and when that was new.
    seen: Option<(Object, Instant)>,
}

/// What a try came to.
#[derive(Debug)]
enum Tried {
    /// This process holds the Lease.
    Held,
    /// Somebody else does.
    Others(String),
    /// There was no answer.
    Silence,
}

impl Lease {
    /// A Lease, and who this process is: no other may say the same.
    pub(super) fn new(api: Api<Object>, name: &str, identity: &str, times: Times) -> Self {
        Self { api, name: name.to_owned(), identity: identity.to_owned(), times, seen: None }
    }

    /// Runs `act` whenever this process holds the Lease, until `stop`. The token that `act` gets
    /// is cancelled when the Lease is lost or `stop` is; it must return then. The Lease is given
    /// back at the end.
    pub(super) async fn lead<'a>(
        &mut self,
        stop: &CancellationToken,
        act: impl Fn(CancellationToken) -> BoxFuture<'a, ()> + Send,
    ) {
        while self.acquire(stop).await {
            let term = stop.child_token();
            let mut acting = act(term.clone());
            tokio::select! {
                () = &mut acting => break,
                () = self.renew() => {
                    warn!(lease = self.name, "the lease is lost: stopping what it allowed");
                    term.cancel();
                    acting.await;
                }
            }
        }
        self.release().await;
    }

    /// Waits for the Lease; false when `stop` came first.
    async fn acquire(&mut self, stop: &CancellationToken) -> bool {
        let mut holder = None;
        while !stop.is_cancelled() {
            let trying = timeout(self.times.renew_within, self.try_once());
            match trying.await.unwrap_or_else(|_| Ok(Tried::Silence)) {
                Ok(Tried::Held) => {
                    info!(lease = self.name, identity = self.identity, "holding the lease");
                    return true;
                }
                Ok(Tried::Others(other)) if holder.as_ref() != Some(&other) => {
                    info!(lease = self.name, holder = other, "another one holds the lease");
                    holder = Some(other);
                }
                Ok(Tried::Others(_)) => {}
                Ok(Tried::Silence) => {
                    warn!(lease = self.name, "the management cluster does not answer");
                }
                Err(error) => {
                    let error = crate::fkas::with_causes(&error);
                    warn!(lease = self.name, error, "the lease cannot be had");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(self.jittered()) => {}
            }
        }
        false
    }

    /// Renews until the Lease is lost.
    async fn renew(&mut self) {
        let mut renewed = Instant::now();
        loop {
            sleep(self.times.retry).await;
            let left = self.times.renew_within.saturating_sub(renewed.elapsed());
            if left.is_zero() {
                return;
            }
            match timeout(left, self.try_once()).await {
                Ok(Ok(Tried::Held)) => renewed = Instant::now(),
                Ok(Ok(Tried::Others(_) | Tried::Silence)) | Err(_) => return,
                Ok(Err(error)) => {
                    let error = crate::fkas::with_causes(&error);
                    debug!(lease = self.name, error, "the lease was not renewed");
                }
            }
        }
    }

    /// Between one and 2.2 times the time between tries, so that many do not try at once.
    fn jittered(&self) -> Duration {
        let [byte, ..] = *uuid::Uuid::new_v4().as_bytes();
        self.times.retry + self.times.retry.mul_f64(1.2 * f64::from(byte) / 256.0)
    }

    /// Takes or renews the Lease, if it is free or this process's.
    async fn try_once(&mut self) -> Result<Tried, kube::Error> {
        let now = Timestamp::now();
        let Some(there) = self.api.get_opt(&self.name).await? else {
            let made = self.api.create(&PostParams::default(), &self.first(now)).await?;
            self.saw(made);
            return Ok(Tried::Held);
        };
        self.saw(there.clone());
        let spec = there.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder != self.identity && !holder.is_empty() && !self.expired() {
            return Ok(Tried::Others(holder));
        }
        let wanted = Object { spec: Some(self.held(spec, now)), ..there };
        let put = self.api.replace(&self.name, &PostParams::default(), &wanted).await?;
        self.saw(put);
        Ok(Tried::Held)
    }

    /// Remembers when the Lease became what it is.
    fn saw(&mut self, there: Object) {
        let same = self.seen.as_ref().is_some_and(|(seen, _)| seen.spec == there.spec);
        if !same {
            self.seen = Some((there, Instant::now()));
        }
    }

    /// Whether nobody renewed for the Lease's duration, as far as this process saw: clocks of
    /// different machines are not compared.
    fn expired(&self) -> bool {
        self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= self.times.duration)
    }

    fn first(&self, now: Timestamp) -> Object {
        Object {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                lease_transitions: Some(0),
                ..self.held(LeaseSpec::default(), now)
            }),
        }
    }

    /// The spec of a Lease that was `before` and is held from now on.
    fn held(&self, before: LeaseSpec, now: Timestamp) -> LeaseSpec {
        let mine = before.holder_identity.as_deref() == Some(&*self.identity);
        let transitions = before.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(seconds(self.times.duration)),
            acquire_time: if mine { before.acquire_time } else { Some(MicroTime(now)) },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions + i32::from(!mine)),
            ..before
        }
    }

    /// Gives the Lease back, if this process holds it, so that another need not wait.
    async fn release(&mut self) {
        let Some((there, _)) = self.seen.take() else { return };
        let Some(spec) = there.spec.clone() else { return };
        if spec.holder_identity.as_deref() != Some(&*self.identity) {
            return;
        }
        let now = Timestamp::now();
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            ..spec
        };
        let free = Object { spec: Some(spec), ..there };
        let params = PostParams::default();
        let putting = self.api.replace(&self.name, &params, &free);
        match timeout(self.times.retry, putting).await {
            Ok(Ok(_)) => info!(lease = self.name, "gave the lease back"),
            Ok(Err(error)) => warn!(lease = self.name, %error, "the lease was not given back"),
            Err(_) => warn!(lease = self.name, "the lease was not given back in time"),
        }
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
