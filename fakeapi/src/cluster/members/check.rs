//! Which change etcd would make.

use super::{MAX_LEARNERS, MAX_UNSTARTED, MAX_URLS, MemberChange, Members, quorum};

/// Why a change is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No member has the id.
    #[error("there is no such member")]
    NotFound,
    /// Another member has one of the peer URLs.
    #[error("another member is reached there")]
    PeerUrlExists,
    /// There is as many learners as there may be.
    #[error("there are enough learners")]
    TooManyLearners,
    /// Only a learner can be promoted.
    #[error("the member votes already")]
    NotLearner,
    /// A learner that does not run is behind the leader.
    #[error("the learner is not in sync with the leader")]
    LearnerNotReady,
    /// Too few members would have started.
    #[error("too few members have started")]
    NotEnoughStarted,
    /// The change would cost the quorum, because others are down.
    #[error("too many members are down")]
    Unhealthy,
    /// Leadership cannot go there.
    #[error("the member cannot lead")]
    BadTransferee,
    /// A bound of this program is reached.
    #[error("there are too many of them")]
    TooMany,
}

impl Members {
    /// Whether etcd would make this change now.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check(&self, change: &MemberChange) -> Result<(), Refused> {
        match change {
            MemberChange::Lead { id } => {
                let member = self.get(*id).filter(|member| !member.learner);
                let member = member.ok_or(Refused::BadTransferee)?;
                let can = member.running && self.leader.is_some();
                if can { Ok(()) } else { Err(Refused::Unhealthy) }
            }
            MemberChange::Remove { id } => self.check_remove(*id),
            MemberChange::Add { peer_urls, learner } => self.check_add(peer_urls, *learner),
            MemberChange::Update { id, peer_urls } => {
                self.get(*id).ok_or(Refused::NotFound)?;
                self.check_urls(Some(*id), peer_urls)
            }
            MemberChange::Promote { id } => self.check_promote(*id),
            MemberChange::Raise { id, .. } => self.get(*id).map(|_| ()).ok_or(Refused::NotFound),
            MemberChange::Silence { .. } | MemberChange::Fare { .. } => Ok(()),
        }
    }

    fn check_remove(&self, id: u64) -> Result<(), Refused> {
        let target = self.get(id);
        if target.is_some_and(|target| target.learner) {
            return Ok(());
        }
        let left = self.voters().filter(|member| member.id != id);
        if left.clone().filter(|member| member.started()).count() < quorum(left.count()) {
            return Err(Refused::NotEnoughStarted);
        }
        let target = target.ok_or(Refused::NotFound)?;
        if !target.running {
            return Ok(());
        }
        let (voters, active) = (self.voters().count(), self.active());
        if active.saturating_sub(1) < quorum(voters - 1) {
            return Err(Refused::Unhealthy);
        }
        Ok(())
    }

    fn check_add(&self, peer_urls: &[String], learner: bool) -> Result<(), Refused> {
        let voters = self.voters().count();
        let started = self.voters().filter(|member| member.started()).count();
        let restores = voters == 1 && started == 1;
        if !learner && !restores && started < quorum(voters + 1) {
            return Err(Refused::NotEnoughStarted);
        }
        if voters != 1 && self.active() < quorum(voters + 1) {
            return Err(Refused::Unhealthy);
        }
        self.check_urls(None, peer_urls)?;
        let learners = self.list.len() - voters;
        if learner && learners >= MAX_LEARNERS {
            return Err(Refused::TooManyLearners);
        }
        let unstarted = self.list.iter().filter(|member| !member.started()).count();
        if unstarted >= MAX_UNSTARTED { Err(Refused::TooMany) } else { Ok(()) }
    }

    fn check_promote(&self, id: u64) -> Result<(), Refused> {
        let member = self.get(id).ok_or(Refused::NotFound)?;
        if !member.running {
            return Err(Refused::LearnerNotReady);
        }
        if !member.learner {
            return Err(Refused::NotLearner);
        }
        let started = 1 + self.voters().filter(|member| member.started()).count();
        if started < quorum(self.voters().count() + 1) {
            return Err(Refused::NotEnoughStarted);
        }
        Ok(())
    }

    /// Whether no member but this one is reached at one of the URLs.
    fn check_urls(&self, id: Option<u64>, urls: &[String]) -> Result<(), Refused> {
        if urls.len() > MAX_URLS {
            return Err(Refused::TooMany);
        }
        let others = self.list.iter().filter(|member| Some(member.id) != id);
        let taken = others.flat_map(|member| &member.peer_urls).any(|url| urls.contains(url));
        if taken { Err(Refused::PeerUrlExists) } else { Ok(()) }
    }

    /// How many members with a vote run.
    fn active(&self) -> usize {
        self.voters().filter(|member| member.running).count()
    }
}
