//! What is to be done later: one queue for the process, and no timer while it is empty.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// There is no room for another deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many things are to be done later")]
pub struct Full;

/// Jobs by the moment they are due.
#[derive(Debug)]
pub struct Schedule<J> {
    queue: Mutex<Queue<J>>,
    changed: Notify,
    bound: usize,
}

#[derive(Debug)]
struct Queue<J> {
    /// Jobs of the same moment come in the order they were added.
    jobs: BTreeMap<(Timestamp, u64), J>,
    added: u64,
}

impl<J> Schedule<J> {
    /// An empty one, for so many jobs at the most.
    pub fn new(bound: usize) -> Self {
        let queue = Queue { jobs: BTreeMap::new(), added: 0 };
        Self { queue: Mutex::new(queue), changed: Notify::new(), bound }
    }

    /// Adds a job.
    ///
    /// # Errors
    /// When there is no room.
    pub fn add(&self, at: Timestamp, job: J) -> Result<(), Full> {
        let mut queue = self.queue.lock();
        if queue.jobs.len() >= self.bound {
            return Err(Full);
        }
        queue.added += 1;
        let key = (at, queue.added);
        let first = queue.jobs.first_key_value().is_none_or(|(first, _)| key < *first);
        queue.jobs.insert(key, job);
        drop(queue);
        if first {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for the next job that is due. One caller at a time.
    pub async fn due(&self) -> J {
        loop {
            let wait = match self.take(Timestamp::now()) {
                Ok(job) => return job,
                Err(wait) => wait,
            };
            let slept = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = slept => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// The first job when it is due, else how long it is until then.
    fn take(&self, now: Timestamp) -> Result<J, Option<Duration>> {
        let mut queue = self.queue.lock();
        let Some(first) = queue.jobs.first_entry() else { return Err(None) };
        let (at, _) = *first.key();
        if at <= now {
            return Ok(first.remove());
        }
        Err(Some(Duration::try_from(at.duration_since(now)).unwrap_or_default()))
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.queue.lock().jobs.len()
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_come_in_order_of_their_moments() {
        let schedule = Schedule::new(10);
        let now = Timestamp::now();
        for (millis, job) in [(60, "c"), (20, "a"), (20, "b"), (0, "now")] {
            schedule.add(now + Duration::from_millis(millis), job).unwrap();
        }
        for expected in ["now", "a", "b", "c"] {
            assert_eq!(schedule.due().await, expected);
        }
        assert!(Timestamp::now() >= now + Duration::from_millis(60));
        assert!(schedule.is_empty());
    }

    #[tokio::test]
    async fn an_earlier_job_wakes_who_waits_for_a_later_one() {
        let schedule = std::sync::Arc::new(Schedule::new(10));
        let now = Timestamp::now();
        schedule.add(now + Duration::from_hours(1), "late").unwrap();
        let waiting = schedule.clone();
        let due = tokio::spawn(async move { waiting.due().await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        schedule.add(now, "early").unwrap();
        assert_eq!(due.await.unwrap(), "early");
    }

    #[test]
    fn there_is_a_bound() {
        let schedule = Schedule::new(1);
        schedule.add(Timestamp::now(), ()).unwrap();
        assert_eq!(schedule.add(Timestamp::now(), ()), Err(Full));
    }
}
