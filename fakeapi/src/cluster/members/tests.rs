use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

fn member(id: u64) -> Member {
    Member {
        id,
        node: Some(format!("n{id}").into()),
        peer_urls: vec![format!("https://10.0.0.{id}:2380")],
        client_urls: Vec::new(),
        learner: false,
        running: true,
        led_since: None,
        origin: id,
    }
}

fn members(count: u64) -> Members {
    let list: Vec<Member> = (1..=count).map(member).collect();
    let leader = elect(&list).map(|member| member.id);
    Members { cluster_id: 7, list, leader, term: 2, alarms: Vec::new() }
}

#[test]
fn the_oldest_is_elected_first_and_who_led_last_after_that() {
    let mut three = members(3);
    assert_eq!(three.leader, Some(1));
    three.list[2].led_since = Some((5, true));
    three.list[1].led_since = Some((5, false));
    assert_eq!(elect(&three.list).unwrap().id, 3, "elected here beats written by a client");
    three.list[2].running = false;
    assert_eq!(elect(&three.list).unwrap().id, 2);
    three.list[1].learner = true;
    assert_eq!(elect(&three.list), None, "one of two is no quorum");
}

#[test]
fn removals_that_would_cost_the_quorum_are_refused() {
    let remove = |id| MemberChange::Remove { id };
    assert_eq!(members(1).check(&remove(1)), Err(Refused::NotEnoughStarted));
    assert_eq!(members(3).check(&remove(9)), Err(Refused::NotFound));
    assert_eq!(members(3).check(&remove(1)), Ok(()));
    let mut three = members(3);
    three.list[0].running = false;
    assert_eq!(three.check(&remove(1)), Ok(()), "one that is down");
    assert_eq!(three.check(&remove(2)), Err(Refused::Unhealthy));
    three.list[1].learner = true;
    assert_eq!(three.check(&remove(2)), Ok(()), "one without a vote");
}

#[test]
fn additions_keep_to_etcds_rules() {
    let add = |url: &str, learner| MemberChange::Add { peer_urls: vec![url.into()], learner };
    assert_eq!(members(1).check(&add("https://x:1", false)), Ok(()));
    let mut three = members(3);
    assert_eq!(three.check(&add("https://10.0.0.2:2380", true)), Err(Refused::PeerUrlExists));
    assert_eq!(three.check(&add("https://x:1", true)), Ok(()));
    three.list.push(Member { node: None, running: false, learner: true, ..member(4) });
    assert_eq!(three.check(&add("https://x:1", true)), Err(Refused::TooManyLearners));
    assert_eq!(three.check(&MemberChange::Promote { id: 4 }), Err(Refused::LearnerNotReady));
    assert_eq!(three.check(&MemberChange::Promote { id: 3 }), Err(Refused::NotLearner));
    assert_eq!(three.check(&MemberChange::Lead { id: 4 }), Err(Refused::BadTransferee));
    three.list[2].running = false;
    assert_eq!(three.check(&add("https://x:1", false)), Err(Refused::Unhealthy));
}

proptest! {
    #[test]
    fn a_quorum_has_exactly_one_leader_and_it_votes_and_runs(
        states in proptest::collection::vec((any::<bool>(), any::<bool>(), 0_i64..4), 0..9),
    ) {
        let list: Vec<Member> = (1..).zip(states).map(|(id, (running, learner, since))| Member {
            running,
            learner,
            led_since: (since > 0).then_some((since, false)),
            ..member(id)
        }).collect();
        let voters = list.iter().filter(|m| !m.learner).count();
        let running = list.iter().filter(|m| !m.learner && m.running);
        let leader = elect(&list);
        prop_assert_eq!(leader.is_some(), running.clone().count() * 2 > voters);
        if let Some(leader) = leader {
            prop_assert!(leader.running && !leader.learner);
            let best = running.map(|m| (m.led_since, Reverse(m.origin))).max();
            prop_assert_eq!(best, Some((leader.led_since, Reverse(leader.origin))));
        }
    }
}
