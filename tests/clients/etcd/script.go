package main

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// No member has this id, and no lease.
const nobody = 0xdead

func (m *members) script() {
	first, second, third := m.order[0], m.order[1], m.order[2]
	a, b := m.clients[first], m.clients[second]
	m.status("at first")
	m.list("members")
	m.alarms("alarms")
	m.leadership(a, b, second, third)
	m.learners(a)
	m.reads(a)
	m.leases(a)
	m.authentication(a)
	m.upkeep(a, third)

	_, err := a.MemberRemove(within(), nobody)
	m.say("remove nobody", err, "done")
	removed, err := a.MemberRemove(within(), m.id(third))
	if err == nil {
		m.say("remove a member", nil, "%s; %s", m.header(removed.Header), m.listed(removed.Members))
	} else {
		m.say("remove a member", err, "")
	}
	m.list("members without it")
	_, err = a.MemberRemove(within(), m.id(third))
	m.say("remove it again", err, "done")
	_, err = a.MemberRemove(within(), m.id(second))
	m.say("remove another", err, "done")
	_, err = a.MemberRemove(within(), m.id(first))
	m.say("remove the last", err, "done")
}

func (m *members) leadership(a, b *clientv3.Client, second, third string) {
	_, err := b.MoveLeader(within(), m.id(third))
	m.say("move from one that does not lead", err, "done")
	_, err = a.MoveLeader(within(), nobody)
	m.say("move to nobody", err, "done")
	moved, err := a.MoveLeader(within(), m.id(second))
	if err == nil {
		m.say("move", nil, "%s", m.header(moved.Header))
	} else {
		m.say("move", err, "")
	}
	m.status("moved")
	_, err = b.MoveLeader(within(), m.id(m.order[0]))
	m.say("move back", err, "done")
}

func (m *members) learners(a *clientv3.Client) {
	list, err := a.MemberList(within())
	if err != nil {
		m.say("members", err, "")
		return
	}
	for _, url := range []string{"x", "https://10.9.9.9", "ftp://10.9.9.9:1", "https://10.9.9.9:1/x"} {
		_, err = a.MemberAddAsLearner(within(), []string{url})
		m.say("add "+url, err, "done")
	}
	_, err = a.MemberAddAsLearner(within(), list.Members[0].PeerURLs)
	m.say("add a member that is there", err, "done")
	added, err := a.MemberAddAsLearner(within(), []string{"https://10.9.9.9:2380"})
	if err != nil {
		m.say("add a learner", err, "")
		return
	}
	id := added.Member.ID
	m.say("add a learner", nil, "%s; %s", m.header(added.Header), m.listed(added.Members))
	_, err = a.MemberAddAsLearner(within(), []string{"https://10.9.9.8:2380"})
	m.say("add another", err, "done")
	_, err = a.MoveLeader(within(), id)
	m.say("move to the learner", err, "done")
	_, err = a.MemberPromote(within(), id)
	m.say("promote one that never started", err, "done")
	_, err = a.MemberPromote(within(), m.id(m.order[1]))
	m.say("promote a voter", err, "done")
	_, err = a.MemberPromote(within(), nobody)
	m.say("promote nobody", err, "done")
	_, err = a.MemberUpdate(within(), nobody, []string{"https://10.9.9.7:2380"})
	m.say("update nobody", err, "done")
	_, err = a.MemberUpdate(within(), id, list.Members[0].PeerURLs)
	m.say("update to another's place", err, "done")
	_, err = a.MemberUpdate(within(), id, []string{"https://10.9.9.7:2380"})
	m.say("update", err, "done")
	_, err = a.MemberRemove(within(), id)
	m.say("remove the learner", err, "done")
}

func (m *members) reads(a *clientv3.Client) {
	none, err := a.Get(within(), "/fakeapi/nothing")
	if err == nil {
		m.say("get nothing", nil, "%s; count %d more %t", m.header(none.Header), none.Count, none.More)
	} else {
		m.say("get nothing", err, "")
	}
	_, err = a.Get(within(), "")
	m.say("get without a key", err, "done")
	_, err = a.Get(within(), "/fakeapi/nothing", clientv3.WithRev(1<<40))
	m.say("get of the future", err, "done")
	_, err = a.Get(within(), "/fakeapi/", clientv3.WithPrefix(), clientv3.WithSerializable())
	m.say("get without agreement", err, "done")
	_, err = pb.NewKVClient(a.ActiveConnection()).Range(within(),
		&pb.RangeRequest{Key: []byte("x"), SortOrder: 9})
	m.say("get in no order", err, "done")
	_, err = a.Put(within(), "", "x")
	m.say("put without a key", err, "done")
	_, err = a.Delete(within(), "")
	m.say("delete without a key", err, "done")

	watch := a.Watch(clientv3.WithRequireLeader(within()), "/fakeapi/", clientv3.WithPrefix(),
		clientv3.WithCreatedNotify())
	created := <-watch
	m.say("watch", created.Err(), "created %t member %t", created.Created, created.Header.MemberId != 0)
}

func (m *members) leases(a *clientv3.Client) {
	left, err := a.TimeToLive(within(), nobody)
	if err == nil {
		m.say("time left of no lease", nil, "%d of %d", left.TTL, left.GrantedTTL)
	} else {
		m.say("time left of no lease", err, "")
	}
	leases, err := a.Leases(within())
	if err == nil {
		m.say("leases", nil, "%d", len(leases.Leases))
	} else {
		m.say("leases", err, "")
	}
	_, err = a.Revoke(within(), nobody)
	m.say("revoke no lease", err, "done")
	_, err = a.KeepAliveOnce(within(), nobody)
	m.say("keep no lease alive", err, "done")
}

func (m *members) authentication(a *clientv3.Client) {
	is, err := a.AuthStatus(within())
	if err == nil {
		m.say("authentication", nil, "%s; %t %d", m.header((*pb.AuthStatusResponse)(is).Header), is.Enabled, is.AuthRevision)
	} else {
		m.say("authentication", err, "")
	}
	_, err = a.Authenticate(within(), "root", "x")
	m.say("authenticate", err, "done")
	_, err = a.AuthEnable(within())
	m.say("enable authentication", err, "done")
	users, err := a.UserList(within())
	if err == nil {
		m.say("users", nil, "%v", users.Users)
	} else {
		m.say("users", err, "")
	}
	_, err = a.UserGet(within(), "nobody")
	m.say("user nobody", err, "done")
	_, err = a.RoleGet(within(), "nothing")
	m.say("role nothing", err, "done")
	_, err = a.UserDelete(within(), "nobody")
	m.say("delete user nobody", err, "done")
	_, err = a.RoleDelete(within(), "nothing")
	m.say("delete role nothing", err, "done")
}

func (m *members) upkeep(a *clientv3.Client, third string) {
	same := true
	var known uint32
	for number, name := range m.order {
		hash, err := m.clients[name].HashKV(within(), m.endpoint(name), 0)
		if err != nil {
			m.say("hash of "+name, err, "")
			continue
		}
		same = same && (number == 0 || hash.Hash == known)
		known = hash.Hash
	}
	fmt.Printf("hashes: same %t\n", same)
	_, err := a.HashKV(within(), m.endpoint(m.order[0]), 1<<40)
	m.say("hash of the future", err, "done")
	cleaned, err := a.Defragment(within(), m.endpoint(m.order[0]))
	if err == nil {
		m.say("defragment", nil, "%s", m.header(cleaned.Header))
	} else {
		m.say("defragment", err, "")
	}
	for _, version := range []string{"x", "3.1", "3.5"} {
		can, err := a.Downgrade(within(), clientv3.DowngradeValidate, version)
		if err == nil {
			m.say("downgrade to "+version, nil, "from %s", can.Version)
		} else {
			m.say("downgrade to "+version, err, "")
		}
	}
	_, err = a.Downgrade(within(), clientv3.DowngradeCancel, "")
	m.say("cancel no downgrade", err, "done")

	calls := pb.NewMaintenanceClient(a.ActiveConnection())
	raised, err := calls.Alarm(within(), &pb.AlarmRequest{
		Action: pb.AlarmRequest_ACTIVATE, MemberID: m.id(third), Alarm: pb.AlarmType_NOSPACE})
	if err == nil {
		m.say("raise an alarm", nil, "%s; %d", m.header(raised.Header), len(raised.Alarms))
	} else {
		m.say("raise an alarm", err, "")
	}
	m.alarms("alarms raised")
	m.status("alarmed")
	_, err = a.AlarmDisarm(within(), &clientv3.AlarmMember{})
	m.say("disarm", err, "done")
	m.alarms("alarms disarmed")
}

// alone asks a member that has lost the others, and its leader with them.
func (m *members) alone() {
	first := m.order[0]
	a := m.clients[first]
	m.order = m.order[:1]
	m.status("alone")
	calls := pb.NewClusterClient(a.ActiveConnection())
	list, err := calls.MemberList(within(), &pb.MemberListRequest{Linearizable: false})
	if err == nil {
		m.say("members without agreement", nil, "%s", m.listed(list.Members))
	} else {
		m.say("members without agreement", err, "")
	}
	_, err = calls.MemberList(within(), &pb.MemberListRequest{Linearizable: true})
	m.say("members", err, "done")
	_, err = calls.MemberList(clientv3.WithRequireLeader(within()), &pb.MemberListRequest{Linearizable: true})
	m.say("members by a leader", err, "done")
	_, err = pb.NewMaintenanceClient(a.ActiveConnection()).Alarm(within(), &pb.AlarmRequest{})
	m.say("alarms", err, "done")
	keys := pb.NewKVClient(a.ActiveConnection())
	_, err = keys.Range(within(), &pb.RangeRequest{Key: []byte("x")})
	m.say("get", err, "done")
	_, err = keys.Range(within(), &pb.RangeRequest{Key: []byte("x"), Serializable: true})
	m.say("get without agreement", err, "done")
	_, err = a.MoveLeader(within(), nobody)
	m.say("move", err, "done")
	_, err = calls.MemberRemove(within(), &pb.MemberRemoveRequest{ID: m.id("cp-1")})
	m.say("remove one that is gone", err, "done")
}
