// Forwards ports with client-go's own package and with moby/spdystream, and says what it sees.
//
// The server is started by the Rust test next to the API machinery. Its pods listen on
//
//	7  what comes goes back
//	9  counts what comes until its end, then says how much it was
//	13 says something long and hangs up
//
// and refuse every other port.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/runtime"
)

var server = flag.String("server", "", "http://ip:port")

// What a check has in its hands when it ends in time.
const patience = 20 * time.Second

type check struct {
	name string
	run  func() error
}

func main() {
	flag.Parse()
	runtime.ErrorHandlers = []runtime.ErrorHandler{remember}
	var checks []check
	for _, way := range []string{"websocket", "spdy", "fallback"} {
		checks = append(checks,
			check{way + ": bytes go both ways", func() error { return echo(way) }},
			check{way + ": fifty connections at once", func() error { return parallel(way) }},
			check{way + ": the client ends first", func() error { return clientEnds(way) }},
			check{way + ": the pod ends first", func() error { return podEnds(way) }},
			check{way + ": a port that refuses", func() error { return refused(way) }},
			check{way + ": a pod that is not there", func() error { return absent(way) }},
			check{way + ": a pod that does not run", func() error { return waiting(way) }},
		)
	}
	checks = append(checks,
		check{"spdystream: pings", pings},
		check{"spdystream: 512 connections on one session", many},
		check{"spdystream: streams without request ids", oldPairs},
		check{"spdystream: streams that say too little", unfit},
		check{"spdystream: a stream is reset", reset},
		check{"spdystream: one slow reader among others", slow},
		check{"spdystream: farewell", farewell},
	)
	failed := 0
	for _, c := range checks {
		done := make(chan error, 1)
		go func() { done <- c.run() }()
		var err error
		select {
		case err = <-done:
		case <-time.After(patience):
			err = fmt.Errorf("still not done after %s", patience)
		}
		if err != nil {
			failed++
			fmt.Printf("FAIL %s: %v\n", c.name, err)
			continue
		}
		fmt.Printf("ok %s\n", c.name)
	}
	fmt.Printf("%d checks, %d failed\n", len(checks), failed)
	if failed > 0 {
		os.Exit(1)
	}
}

func contains(text string, parts ...string) error {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return fmt.Errorf("%q is not in %q", part, text)
		}
	}
	return nil
}
