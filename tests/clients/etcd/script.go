package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
	m.transactions(a)
	m.leases(a)
	m.authentication(a)
	m.upkeep(a, third)
	m.writes(a)

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
	_, err = pb.NewKVClient(a.ActiveConnection()).Put(within(),
		&pb.PutRequest{Key: []byte("x"), Value: []byte("x"), IgnoreValue: true})
	m.say("put a value and not", err, "done")
	_, err = pb.NewKVClient(a.ActiveConnection()).Put(within(),
		&pb.PutRequest{Key: []byte("x"), Lease: 1, IgnoreLease: true})
	m.say("put with a lease and not", err, "done")
	_, err = a.Delete(within(), "")
	m.say("delete without a key", err, "done")

	watch := a.Watch(clientv3.WithRequireLeader(within()), "/fakeapi/", clientv3.WithPrefix(),
		clientv3.WithCreatedNotify())
	created := <-watch
	m.say("watch", created.Err(), "created %t member %t", created.Created, created.Header.MemberId != 0)
}

// writes asks for what fake members refuse on purpose.
func (m *members) writes(a *clientv3.Client) {
	_, err := a.Put(within(), "/fakeapi/x", "x")
	m.say("write a key", err, "done")
	_, err = a.Delete(within(), "/fakeapi/x")
	m.say("write its end", err, "done")
	_, err = a.Txn(within()).Then(clientv3.OpPut("/fakeapi/x", "x")).Commit()
	m.say("write by a transaction", err, "done")
	_, err = a.Compact(within(), 1)
	m.say("write off the past", err, "done")
	_, err = a.Grant(within(), 600)
	m.say("write a lease", err, "done")
	_, err = a.UserAdd(within(), "somebody", "x")
	m.say("write a user", err, "done")
	_, err = a.RoleAdd(within(), "something")
	m.say("write a role", err, "done")
}

// transactions asks for what reads, or would write if its comparisons were otherwise. There are no
// keys here that real members and fake ones have both, so all of it is about a key that is not there.
func (m *members) transactions(a *clientv3.Client) {
	const key = "/fakeapi/nothing"
	get := clientv3.OpGet(key)
	for _, compare := range []struct {
		name    string
		compare clientv3.Cmp
	}{
		{"version = 0", clientv3.Compare(clientv3.Version(key), "=", 0)},
		{"version > 0", clientv3.Compare(clientv3.Version(key), ">", 0)},
		{"version < 1", clientv3.Compare(clientv3.Version(key), "<", 1)},
		{"modified != 0", clientv3.Compare(clientv3.ModRevision(key), "!=", 0)},
		{"created = 0", clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
		{"lease = 0", clientv3.Compare(clientv3.LeaseValue(key), "=", 0)},
		{"value = nothing", clientv3.Compare(clientv3.Value(key), "=", "")},
		{"value != x", clientv3.Compare(clientv3.Value(key), "!=", "x")},
		{"none of all under it", clientv3.Compare(clientv3.CreateRevision(key), "=", 0).WithPrefix()},
	} {
		answer, err := a.Txn(within()).If(compare.compare).Then(get, get).Else(get).Commit()
		m.transaction("if "+compare.name, answer, err)
	}
	// So kube-apiserver writes what it believes to be there.
	answer, err := a.Txn(within()).If(clientv3.Compare(clientv3.ModRevision(key), "=", 7)).
		Then(clientv3.OpPut(key, "x")).Else(get).Commit()
	m.transaction("if there write else read", answer, err)
	inner := clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Version(key), ">", 0)},
		nil, []clientv3.Op{get})
	answer, err = a.Txn(within()).Then(inner, get).Commit()
	m.transaction("transaction in a transaction", answer, err)
	answer, err = a.Txn(within()).Commit()
	m.transaction("transaction of nothing", answer, err)
	answer, err = a.Txn(within()).Then(clientv3.OpGet(key, clientv3.WithRev(1<<40))).Commit()
	m.transaction("transaction of the future", answer, err)
	answer, err = a.Txn(within()).Then(clientv3.OpGet("")).Commit()
	m.transaction("transaction without a key", answer, err)
	answer, err = a.Txn(within()).Then(clientv3.OpDelete("")).Commit()
	m.transaction("transaction that deletes nothing", answer, err)
	answer, err = a.Txn(within()).If(clientv3.Compare(clientv3.Version(""), "=", 0)).Commit()
	m.transaction("comparison without a key", answer, err)
	gets := make([]clientv3.Op, 129)
	for number := range gets {
		gets[number] = get
	}
	_, err = a.Txn(within()).Then(gets...).Commit()
	m.say("transaction of too much", err, "done")
	answer, err = a.Txn(within()).Then(gets[:127]...).Else(inner).Commit()
	if err == nil {
		answer.Responses = answer.Responses[:1]
	}
	m.transaction("transaction of much", answer, err)
	_, err = a.Txn(within()).Then(gets[:128]...).Else(inner).Commit()
	m.say("transaction of too much with another", err, "done")
	_, err = pb.NewKVClient(a.ActiveConnection()).Txn(within(),
		&pb.TxnRequest{Failure: []*pb.RequestOp{{}}})
	m.say("transaction that says nothing", err, "done")
}

func (m *members) transaction(step string, answer *clientv3.TxnResponse, err error) {
	if err != nil {
		m.say(step, err, "")
		return
	}
	m.say(step, nil, "%s; %s", m.header(answer.Header), parts((*pb.TxnResponse)(answer)))
}

func parts(answer *pb.TxnResponse) string {
	text := fmt.Sprint(answer.Succeeded)
	for _, part := range answer.Responses {
		if inner := part.GetResponseTxn(); inner != nil {
			text += fmt.Sprintf(" (revision %t %s)", inner.GetHeader().GetRevision() > 0, parts(inner))
			continue
		}
		found := part.GetResponseRange()
		header := found.GetHeader()
		text += fmt.Sprintf(" count %d revision %t member %t", found.GetCount(), header.GetRevision() > 0, header.GetMemberId() != 0)
	}
	return text
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

// What is asked of a member alone: a name, and how.
type question struct {
	step string
	ask  func(context.Context) error
}

// alone asks a member that has lost the others, and its leader with them. It is asked all at once,
// since most answers take as long as etcd or the client is willing to wait.
func (m *members) alone() {
	first, second := m.order[0], m.order[1]
	a := m.clients[first]
	m.order = m.order[:1]
	m.status("alone")
	members := pb.NewClusterClient(a.ActiveConnection())
	keys := pb.NewKVClient(a.ActiveConnection())
	leases := pb.NewLeaseClient(a.ActiveConnection())
	upkeep := pb.NewMaintenanceClient(a.ActiveConnection())
	users := pb.NewAuthClient(a.ActiveConnection())
	list, err := members.MemberList(within(), &pb.MemberListRequest{Linearizable: false})
	if err == nil {
		m.say("members without agreement", nil, "%s", m.listed(list.Members))
	} else {
		m.say("members without agreement", err, "")
	}
	x := []byte("x")
	read := func(serializable bool) []*pb.RequestOp {
		return []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{
			RequestRange: &pb.RangeRequest{Key: x, Serializable: serializable}}}}
	}
	nested := []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{
		RequestTxn: &pb.TxnRequest{Success: read(true)}}}}
	questions := []question{
		{"members", func(ctx context.Context) error {
			_, err := members.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
			return err
		}},
		{"members by a leader", func(ctx context.Context) error {
			_, err := members.MemberList(clientv3.WithRequireLeader(ctx), &pb.MemberListRequest{Linearizable: true})
			return err
		}},
		{"remove one that is gone", func(ctx context.Context) error {
			_, err := members.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: m.id(second)})
			return err
		}},
		{"remove itself", func(ctx context.Context) error {
			_, err := members.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: m.id(first)})
			return err
		}},
		{"remove nobody", func(ctx context.Context) error {
			_, err := members.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: nobody})
			return err
		}},
		{"add", func(ctx context.Context) error {
			_, err := members.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"https://10.9.9.9:2380"}})
			return err
		}},
		{"add a learner", func(ctx context.Context) error {
			_, err := members.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"https://10.9.9.9:2380"}, IsLearner: true})
			return err
		}},
		{"update", func(ctx context.Context) error {
			_, err := members.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: m.id(first), PeerURLs: []string{"https://10.9.9.9:2380"}})
			return err
		}},
		{"promote", func(ctx context.Context) error {
			_, err := members.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: m.id(first)})
			return err
		}},
		{"get", func(ctx context.Context) error {
			_, err := keys.Range(ctx, &pb.RangeRequest{Key: x})
			return err
		}},
		{"get without agreement", func(ctx context.Context) error {
			_, err := keys.Range(ctx, &pb.RangeRequest{Key: x, Serializable: true})
			return err
		}},
		{"put", func(ctx context.Context) error {
			_, err := keys.Put(ctx, &pb.PutRequest{Key: x})
			return err
		}},
		{"put without a key", func(ctx context.Context) error {
			_, err := keys.Put(ctx, &pb.PutRequest{})
			return err
		}},
		{"delete", func(ctx context.Context) error {
			_, err := keys.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: x})
			return err
		}},
		{"compact", func(ctx context.Context) error {
			_, err := keys.Compact(ctx, &pb.CompactionRequest{Revision: 1})
			return err
		}},
		{"transaction that reads", func(ctx context.Context) error {
			_, err := keys.Txn(ctx, &pb.TxnRequest{Success: read(false)})
			return err
		}},
		{"transaction that reads without agreement", func(ctx context.Context) error {
			_, err := keys.Txn(ctx, &pb.TxnRequest{Success: read(true)})
			return err
		}},
		{"transaction in a transaction", func(ctx context.Context) error {
			_, err := keys.Txn(ctx, &pb.TxnRequest{Success: nested})
			return err
		}},
		{"grant a lease", func(ctx context.Context) error {
			_, err := leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 60})
			return err
		}},
		{"revoke no lease", func(ctx context.Context) error {
			_, err := leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: nobody})
			return err
		}},
		{"time left of no lease", func(ctx context.Context) error {
			_, err := leases.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: nobody})
			return err
		}},
		{"leases", func(ctx context.Context) error {
			_, err := leases.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
			return err
		}},
		{"keep no lease alive", func(ctx context.Context) error {
			stream, err := leases.LeaseKeepAlive(ctx)
			if err != nil {
				return err
			}
			if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: nobody}); err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
		{"alarms", func(ctx context.Context) error {
			_, err := upkeep.Alarm(ctx, &pb.AlarmRequest{})
			return err
		}},
		{"move", func(ctx context.Context) error {
			_, err := upkeep.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: nobody})
			return err
		}},
		{"hash", func(ctx context.Context) error {
			_, err := upkeep.HashKV(ctx, &pb.HashKVRequest{})
			return err
		}},
		{"defragment", func(ctx context.Context) error {
			_, err := upkeep.Defragment(ctx, &pb.DefragmentRequest{})
			return err
		}},
		{"downgrade", func(ctx context.Context) error {
			_, err := upkeep.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_VALIDATE, Version: "3.5"})
			return err
		}},
		{"downgrade to x", func(ctx context.Context) error {
			_, err := upkeep.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_VALIDATE, Version: "x"})
			return err
		}},
		{"cancel no downgrade", func(ctx context.Context) error {
			_, err := upkeep.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_CANCEL})
			return err
		}},
		{"authentication", func(ctx context.Context) error {
			_, err := users.AuthStatus(ctx, &pb.AuthStatusRequest{})
			return err
		}},
		{"authenticate", func(ctx context.Context) error {
			_, err := users.Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "x"})
			return err
		}},
		{"users", func(ctx context.Context) error {
			_, err := users.UserList(ctx, &pb.AuthUserListRequest{})
			return err
		}},
	}
	answers := make([]string, len(questions))
	var all sync.WaitGroup
	for number, question := range questions {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patienceAlone)
			defer cancel()
			began := time.Now()
			answer := "done"
			if err := question.ask(ctx); err != nil {
				answer = told(err)
				// Whether the client or the end of its stream words it is chance.
				if ctx.Err() != nil && status.Code(err) == codes.DeadlineExceeded {
					answer = codes.DeadlineExceeded.String()
				}
			}
			answers[number] = fmt.Sprintf("%s: %s, %s", question.step, answer, waited(time.Since(began)))
		})
	}
	all.Wait()
	for _, answer := range answers {
		fmt.Println(answer)
	}
}

// How long a question to a member alone may take. etcd's own patience is 7 s, and twice that for
// reads that came while it waited for others.
const patienceAlone = 24 * time.Second

// waited is a time in words that a busy machine does not change.
func waited(time time.Duration) string {
	switch {
	case time < patienceAlone/4:
		return "at once"
	case time < patienceAlone*3/4:
		return "when etcd's patience ended"
	default:
		return "when the client's patience ended"
	}
}
