package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/moby/spdystream"
)

// A session of moby/spdystream itself.
func open() (*spdystream.Connection, net.Conn, error) {
	u := podURL("web")
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, nil, err
	}
	request, err := http.NewRequest("POST", u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "SPDY/3.1")
	request.Header.Set("X-Stream-Protocol-Version", "portforward.k8s.io")
	if err := request.Write(conn); err != nil {
		return nil, nil, err
	}
	// A server that speaks first would lose bytes in this buffer; ours does not.
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return nil, nil, err
	}
	version := response.Header.Get("X-Stream-Protocol-Version")
	if response.StatusCode != 101 || version != "portforward.k8s.io" {
		return nil, nil, fmt.Errorf("answered %s, %q", response.Status, version)
	}
	session, err := spdystream.NewConnection(conn, false)
	if err != nil {
		return nil, nil, err
	}
	go session.Serve(spdystream.NoOpStreamHandler)
	return session, conn, nil
}

func stream(
	session *spdystream.Connection, kind string, port, request int,
) (*spdystream.Stream, error) {
	headers := http.Header{}
	headers.Set("streamType", kind)
	headers.Set("port", strconv.Itoa(port))
	if request >= 0 {
		headers.Set("requestID", strconv.Itoa(request))
	}
	s, err := session.CreateStream(headers, nil, false)
	if err != nil {
		return nil, err
	}
	return s, s.WaitTimeout(10 * time.Second)
}

type pair struct{ failure, data *spdystream.Stream }

func connect(session *spdystream.Connection, port, request int) (*pair, error) {
	failure, err := stream(session, "error", port, request)
	if err != nil {
		return nil, fmt.Errorf("error stream: %w", err)
	}
	data, err := stream(session, "data", port, request)
	if err != nil {
		return nil, fmt.Errorf("data stream: %w", err)
	}
	return &pair{failure, data}, nil
}

// Echoes once and ends both directions in order.
func (p *pair) echo(length int) error {
	sent := random(length)
	wrote := make(chan error, 1)
	go func() {
		_, err := p.data.Write(sent)
		wrote <- errors.Join(err, p.data.Close(), p.failure.Close())
	}()
	got, err := io.ReadAll(p.data)
	if err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("%d of %d bytes came back", len(got), length)
	}
	failure, err := io.ReadAll(p.failure)
	if err != nil || len(failure) > 0 {
		return fmt.Errorf("the error stream says %q, %v", failure, err)
	}
	return <-wrote
}

func pings() error {
	session, _, err := open()
	if err != nil {
		return err
	}
	for range 20 {
		if _, err := session.Ping(); err != nil {
			return err
		}
	}
	return session.CloseWait()
}

func many() error {
	session, _, err := open()
	if err != nil {
		return err
	}
	outcomes := make(chan error)
	for request := range 512 {
		p, err := connect(session, 7, request)
		if err != nil {
			return fmt.Errorf("connection %d: %w", request, err)
		}
		go func() { outcomes <- p.echo(10_000) }()
	}
	for range 512 {
		if err := <-outcomes; err != nil {
			return err
		}
	}
	if p, err := connect(session, 7, 9999); err != nil {
		return err
	} else if err := p.echo(10); err != nil {
		return fmt.Errorf("after all of them: %w", err)
	}
	return session.CloseWait()
}

func oldPairs() error {
	session, _, err := open()
	if err != nil {
		return err
	}
	for range 3 {
		p, err := connect(session, 7, -1)
		if err != nil {
			return err
		}
		if err := p.echo(1_000); err != nil {
			return err
		}
	}
	return session.CloseWait()
}

func unfit() error {
	session, _, err := open()
	if err != nil {
		return err
	}
	for _, headers := range []http.Header{
		{},
		{"Streamtype": {"data"}},
		{"Streamtype": {"data"}, "Port": {"0"}},
		{"Streamtype": {"data"}, "Port": {"65536"}},
		{"Streamtype": {"stdin"}, "Port": {"7"}},
	} {
		s, err := session.CreateStream(headers, nil, false)
		if err != nil {
			return err
		}
		if err := s.WaitTimeout(10 * time.Second); err != spdystream.ErrReset {
			return fmt.Errorf("%v: %v", headers, err)
		}
	}
	p, err := connect(session, 7, 1)
	if err != nil {
		return err
	}
	first, err := stream(session, "error", 7, 2)
	if err != nil {
		return err
	}
	if _, err := stream(session, "error", 7, 2); err != nil {
		return fmt.Errorf("a second error stream: %w", err)
	}
	said, err := first.ReadData()
	if err != nil {
		return err
	}
	words := "error processing stream for request 2: error stream already assigned"
	if string(said) != words {
		return fmt.Errorf("the error stream says %q", said)
	}
	if err := p.echo(1_000); err != nil {
		return err
	}
	// Streams without their other half are still open.
	session.SetCloseTimeout(time.Second)
	return session.CloseWait()
}

func reset() error {
	session, _, err := open()
	if err != nil {
		return err
	}
	for request := range 20 {
		p, err := connect(session, 7, request)
		if err != nil {
			return err
		}
		if _, err := p.data.Write([]byte("halfway")); err != nil {
			return err
		}
		if err := p.data.Reset(); err != nil {
			return err
		}
		// The pod's connection is given up, and the error stream ended without a word.
		said, err := io.ReadAll(p.failure)
		if err != nil || len(said) > 0 {
			return fmt.Errorf("the error stream says %q, %v", said, err)
		}
		if err := p.failure.Close(); err != nil {
			return err
		}
	}
	return session.CloseWait()
}

// Somebody who sends and does not read what comes back must not stop the others for long:
// spdystream itself stops reading then, so the other is on a session of its own.
func slow() error {
	lazy, lazyConn, err := open()
	if err != nil {
		return err
	}
	p, err := connect(lazy, 7, 0)
	if err != nil {
		return err
	}
	go func() {
		// Ends with the connection.
		_, _ = p.data.Write(random(10_000_000))
	}()
	session, _, err := open()
	if err != nil {
		return err
	}
	for request := range 20 {
		p, err := connect(session, 7, request)
		if err != nil {
			return err
		}
		if err := p.echo(100_000); err != nil {
			return err
		}
	}
	return errors.Join(session.CloseWait(), lazyConn.Close())
}

func farewell() error {
	session, conn, err := open()
	if err != nil {
		return err
	}
	p, err := connect(session, 7, 0)
	if err != nil {
		return err
	}
	// CloseWait would wait for the stream; the server must not.
	if err := session.Close(); err != nil {
		return err
	}
	select {
	case <-session.CloseChan():
	case <-time.After(5 * time.Second):
		return fmt.Errorf("the server does not end the session")
	}
	if said, err := io.ReadAll(p.data); err != nil || len(said) > 0 {
		return fmt.Errorf("read %q, %v", said, err)
	}
	// Closed by spdystream already, or by now.
	_ = conn.Close()
	return nil
}
