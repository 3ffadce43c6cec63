// The program inside every image of the twin: a service that can be told what to do.
//
// One static binary plays all thirty FlowMaster services, SDX, Plane and the three
// databases. MODE chooses the part; everything else comes from the environment too,
// so that images differ only in their configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// drain is how long requests in flight get after SIGTERM: long enough for a local
// client, short enough that thirty pods end at once.
const drain = 50 * time.Millisecond

func main() {
	if len(os.Args) > 1 && os.Args[1] != "serve" {
		os.Exit(command(os.Args[1:]))
	}
	s := newSettings(os.Getenv)
	if s.crash {
		fmt.Printf("%s %s: told to crash (CRASH=1): no connection to the database\n", s.name, s.version)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
		os.Exit(1)
	}
}

// command serves the calls that images and health checks make instead of a shell:
// `pause`, `check URL` and `sleep DURATION`. `serve` is what happens without a command.
func command(args []string) int {
	switch {
	case args[0] == "pause":
		pause()
		return 0
	case args[0] == "check" && len(args) == 2:
		client := http.Client{Timeout: 2 * time.Second}
		response, err := client.Get(args[1])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer response.Body.Close()
		fmt.Println(response.Status)
		if response.StatusCode >= 400 {
			return 1
		}
		return 0
	case args[0] == "sleep" && len(args) == 2:
		duration, err := time.ParseDuration(args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		time.Sleep(duration)
		return 0
	}
	fmt.Fprintf(os.Stderr, "unknown command %q: serve, pause, check URL, sleep DURATION\n", strings.Join(args, " "))
	return 2
}

// pause holds a pod's namespaces open: it waits for the signal to end and buries orphans.
func pause() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func run(ctx context.Context, s settings) error {
	if s.mode == "redis" || s.mode == "postgres" {
		return serveTCP(ctx, s)
	}
	handler := newHandler(s)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, len(s.ports))
	for _, port := range s.ports {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		go func() { failed <- server.Serve(listener) }()
	}
	fmt.Printf("%s %s: listening on %s\n", s.name, s.version, strings.Join(s.ports, ", "))
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	handler.close()
	end, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(end); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	fmt.Printf("%s %s: ended on request\n", s.name, s.version)
	return nil
}

// serveTCP is as much of a database as a connection check sees: redis answers PING,
// postgres accepts and says nothing until the client gives up.
func serveTCP(ctx context.Context, s settings) error {
	listener, err := net.Listen("tcp", ":"+s.ports[0])
	if err != nil {
		return err
	}
	fmt.Printf("%s %s: accepting on %s\n", s.name, s.version, s.ports[0])
	context.AfterFunc(ctx, func() { listener.Close() })
	var open sync.Map
	for {
		connection, err := listener.Accept()
		if ctx.Err() != nil {
			open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
			return nil
		}
		if err != nil {
			return err
		}
		open.Store(connection, nil)
		go func() {
			defer open.Delete(connection)
			defer connection.Close()
			converse(connection, s.mode)
		}()
	}
}

func converse(connection net.Conn, mode string) {
	buffer := make([]byte, 512)
	for {
		_ = connection.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if mode == "redis" {
			reply := "-ERR unknown command\r\n"
			if strings.Contains(strings.ToUpper(string(buffer[:n])), "PING") {
				reply = "+PONG\r\n"
			}
			if _, err := connection.Write([]byte(reply)); err != nil {
				return
			}
		}
	}
}
