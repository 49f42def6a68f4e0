// Package main asks a cluster of etcd members everything a client can ask, in one order, and
// prints what it hears with ids as names and numbers left out where members may differ. Run
// against real members and against fake ones it must print the same.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"os"
	"sort"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/status"
)

// How long one call may take: more than a member waits for a leader.
const patience = 20 * time.Second

type members struct {
	order   []string
	clients map[string]*clientv3.Client
	names   map[uint64]string
}

func main() {
	ca := flag.String("ca", "", "file with the etcd CA's certificate; without it no TLS is spoken")
	key := flag.String("ca-key", "", "file with its key, which signs the client's certificate")
	alone := flag.Bool("alone", false, "wait for the others' end, then ask the first member alone")
	flag.Parse()
	m := &members{clients: map[string]*clientv3.Client{}, names: map[uint64]string{}}
	for _, argument := range flag.Args() {
		name, address, found := strings.Cut(argument, "=")
		if !found {
			log.Fatalf("%q is not NAME=HOST:PORT", argument)
		}
		config := clientv3.Config{Endpoints: []string{address}, DialTimeout: patience}
		if *ca != "" {
			config.TLS = trust(*ca, *key, "etcd-"+name)
		}
		client, err := clientv3.New(config)
		if err != nil {
			log.Fatal(err)
		}
		m.order = append(m.order, name)
		m.clients[name] = client
	}
	m.learnNames()
	m.leadFirst()
	if *alone {
		fmt.Println("all members are there")
		// The end of the input says that they are gone.
		_, _ = io.Copy(io.Discard, os.Stdin)
		m.alone()
		return
	}
	m.script()
}

// trust makes what a client needs, with a certificate signed on the spot as KubeadmControlPlane
// does.
func trust(caFile, keyFile, server string) *tls.Config {
	certificate, err := x509.ParseCertificate(block(caFile))
	if err != nil {
		log.Fatal(err)
	}
	signer := privateKey(block(keyFile))
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0),
		Subject:      pkix.Name{CommonName: "cluster-api.x-k8s.io"},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template, certificate, own.Public(), signer)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &tls.Config{
		RootCAs:      roots,
		ServerName:   server,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf}, PrivateKey: own}},
	}
}

func block(file string) []byte {
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	found, _ := pem.Decode(text)
	if found == nil {
		log.Fatalf("%s is no PEM", file)
	}
	return found.Bytes
}

func privateKey(der []byte) crypto.Signer {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key.(crypto.Signer)
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		log.Fatal(err)
	}
	return key
}

func within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func (m *members) first() *clientv3.Client { return m.clients[m.order[0]] }

func (m *members) learnNames() {
	list, err := m.first().MemberList(within())
	if err != nil {
		log.Fatal(err)
	}
	for _, member := range list.Members {
		m.names[member.ID] = member.Name
	}
}

func (m *members) id(name string) uint64 {
	for id, known := range m.names {
		if known == name {
			return id
		}
	}
	log.Fatalf("there is no member %s", name)
	return 0
}

func (m *members) endpoint(name string) string { return m.clients[name].Endpoints()[0] }

// leadFirst lets the first member lead: who is elected first is chance.
func (m *members) leadFirst() {
	first := m.order[0]
	answer, err := m.first().Status(within(), m.endpoint(first))
	if err != nil {
		log.Fatal(err)
	}
	if leader := m.names[answer.Leader]; leader != first {
		if _, err := m.clients[leader].MoveLeader(within(), m.id(first)); err != nil {
			log.Fatal(err)
		}
	}
}

// told is an error as code and text.
func told(err error) string {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return fmt.Sprintf("%s %q", known.Code(), known.Error())
	}
	if answer, ok := status.FromError(err); ok {
		return fmt.Sprintf("%s %q", answer.Code(), answer.Message())
	}
	return fmt.Sprintf("%q", err)
}

func (m *members) say(step string, err error, format string, values ...any) {
	if err != nil {
		fmt.Printf("%s: %s\n", step, told(err))
		return
	}
	fmt.Printf("%s: %s\n", step, fmt.Sprintf(format, values...))
}

func (m *members) header(header *pb.ResponseHeader) string {
	if header == nil {
		return "no header"
	}
	return fmt.Sprintf("cluster %t member %s revision %t term %t",
		header.ClusterId != 0, m.names[header.MemberId], header.Revision > 0, header.RaftTerm > 1)
}

func (m *members) status(step string) {
	for _, name := range m.order {
		answer, err := m.clients[name].Status(within(), m.endpoint(name))
		if err != nil {
			m.say(step+" status "+name, err, "")
			continue
		}
		raised := strings.Join(answer.Errors, ",")
		for id, name := range m.names {
			raised = strings.ReplaceAll(raised, fmt.Sprint(id), name)
		}
		m.say(step+" status "+name, nil,
			"%s; leader %s learner %t sizes %t index %t errors [%s] 3.6 fields %t %t %t",
			m.header(answer.Header), m.names[answer.Leader], answer.IsLearner,
			answer.DbSize >= answer.DbSizeInUse && answer.DbSizeInUse > 0,
			answer.RaftIndex > 0 && answer.RaftAppliedIndex > 0, raised,
			strings.HasPrefix(answer.Version, "3.6."), answer.StorageVersion == "3.6.0",
			answer.DbSizeQuota == 2<<30 && answer.DowngradeInfo != nil)
	}
}

func (m *members) listed(list []*pb.Member) string {
	var lines []string
	for _, member := range list {
		name := member.Name
		if name == "" {
			name = "(unstarted)"
		}
		lines = append(lines, fmt.Sprintf("%s learner %t peers %d clients %d",
			name, member.IsLearner, len(member.PeerURLs), len(member.ClientURLs)))
	}
	ids := sort.SliceIsSorted(list, func(a, b int) bool { return list[a].ID < list[b].ID })
	sort.Strings(lines)
	return fmt.Sprintf("sorted by id %t; %s", ids, strings.Join(lines, "; "))
}

func (m *members) list(step string) {
	answer, err := m.first().MemberList(within())
	if err != nil {
		m.say(step, err, "")
		return
	}
	m.say(step, nil, "%s; %s", m.header(answer.Header), m.listed(answer.Members))
}

func (m *members) alarms(step string) {
	answer, err := m.first().AlarmList(within())
	if err != nil {
		m.say(step, err, "")
		return
	}
	var raised []string
	for _, alarm := range answer.Alarms {
		raised = append(raised, m.names[alarm.MemberID]+" "+alarm.Alarm.String())
	}
	m.say(step, nil, "%s; %v", m.header(answer.Header), raised)
}
