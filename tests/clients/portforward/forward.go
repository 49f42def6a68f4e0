package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// What client-go tells its error handlers, which is where failures of one connection go.
var (
	toldLock sync.Mutex
	told     []string
)

func remember(_ context.Context, err error, message string, _ ...any) {
	toldLock.Lock()
	defer toldLock.Unlock()
	told = append(told, fmt.Sprintf("%s %v", message, err))
}

func podURL(pod string) *url.URL {
	path := "/api/v1/namespaces/default/pods/" + pod + "/portforward"
	u, err := url.Parse(*server + path)
	if err != nil {
		panic(err)
	}
	return u
}

func dialer(way, pod string) (httpstream.Dialer, error) {
	config := &rest.Config{Host: *server}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	bySPDY := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", podURL(pod))
	if way == "spdy" {
		return bySPDY, nil
	}
	byWebSocket, err := portforward.NewSPDYOverWebsocketDialer(podURL(pod), config)
	if err != nil || way == "websocket" {
		return byWebSocket, err
	}
	// As kubectl and Cluster API have it.
	return portforward.NewFallbackDialer(byWebSocket, bySPDY, httpstream.IsUpgradeFailure), nil
}

type forwarding struct {
	address string
	stop    chan struct{}
	ended   chan error
}

// Forwards a local port to a port of a pod.
func begin(way, pod, port string) (*forwarding, error) {
	d, err := dialer(way, pod)
	if err != nil {
		return nil, err
	}
	stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	pf, err := portforward.NewOnAddresses(
		d, []string{"127.0.0.1"}, []string{"0:" + port}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	go func() { ended <- pf.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return nil, fmt.Errorf("not forwarded: %w", err)
	}
	ports, err := pf.GetPorts()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0].Local)
	return &forwarding{address, stop, ended}, nil
}

// Ends the forwarding, and fails when it had ended before.
func (f *forwarding) end() error {
	close(f.stop)
	select {
	case err := <-f.ended:
		return err
	case <-time.After(5 * time.Second):
		return fmt.Errorf("the forwarding does not end")
	}
}

func random(length int) []byte {
	sent := make([]byte, length)
	_, _ = rand.Read(sent) // never fails
	return sent
}

// Sends bytes through an echo while reading them back.
func there(conn net.Conn, length int) error {
	sent := random(length)
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		wrote <- err
	}()
	got := make([]byte, length)
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("other bytes came back")
	}
	return <-wrote
}

func echo(way string) error {
	f, err := begin(way, "web", "7")
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, length := range []int{1, 100, 40_000, 3_000_000} {
		if err := there(conn, length); err != nil {
			return fmt.Errorf("%d bytes: %w", length, err)
		}
	}
	return f.end()
}

func parallel(way string) error {
	f, err := begin(way, "web", "7")
	if err != nil {
		return err
	}
	outcomes := make(chan error)
	for range 50 {
		go func() {
			conn, err := net.Dial("tcp", f.address)
			if err == nil {
				defer conn.Close()
				err = there(conn, 200_000)
			}
			outcomes <- err
		}()
	}
	for range 50 {
		if err := <-outcomes; err != nil {
			return err
		}
	}
	return f.end()
}

func clientEnds(way string) error {
	f, err := begin(way, "web", "9")
	if err != nil {
		return err
	}
	for range 3 {
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write(random(100_000)); err != nil {
			return err
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			return err
		}
		if string(answer) != "100000 bytes" {
			return fmt.Errorf("the pod says %q", answer)
		}
	}
	return f.end()
}

func podEnds(way string) error {
	f, err := begin(way, "web", "13")
	if err != nil {
		return err
	}
	for range 3 {
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			return err
		}
		defer conn.Close()
		said, err := io.ReadAll(conn)
		if err != nil {
			return err
		}
		if len(said) != 500_000 {
			return fmt.Errorf("the pod said %d bytes", len(said))
		}
	}
	return f.end()
}

func refused(way string) error {
	toldLock.Lock()
	told = nil
	toldLock.Unlock()
	f, err := begin(way, "web", "81")
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if said, err := io.ReadAll(conn); err != nil || len(said) > 0 {
		return fmt.Errorf("read %q, %v", said, err)
	}
	// client-go gives up its session then.
	if err := <-f.ended; err != portforward.ErrLostConnectionToPod {
		return fmt.Errorf("ended by %v", err)
	}
	toldLock.Lock()
	defer toldLock.Unlock()
	return contains(fmt.Sprint(told),
		"an error occurred forwarding",
		"error forwarding port 81 to pod ",
		", uid : failed to execute portforward in network namespace \"/var/run/netns/cni-",
		"failed to connect to localhost:81 inside namespace \"",
		"IPv4: dial tcp4 127.0.0.1:81: connect: connection refused "+
			"IPv6 dial tcp6 [::1]:81: connect: connection refused")
}

func absent(way string) error {
	_, err := begin(way, "nobody", "7")
	if err == nil {
		return fmt.Errorf("it was forwarded")
	}
	return contains(err.Error(), "pods \"nobody\" not found")
}

func waiting(way string) error {
	_, err := begin(way, "pending", "7")
	if err == nil {
		return fmt.Errorf("it was forwarded")
	}
	return contains(err.Error(), "pod not found (\"pending_default\")")
}
