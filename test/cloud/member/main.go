// Command lab-member is what runs on the hosts of the lab: servers of all protocols that say who they are, or a door to a
// unix socket.
//
//	lab-member -name member1 -http :80 -udp :53            every answer names the member
//	lab-member -forward :3306=/run/…/mysqld.sock           every connection is carried to the socket
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"
)

func main() {
	name := flag.String("name", "member", "the name that answers carry")
	addresses := map[string]*string{}
	for kind, about := range map[string]string{
		"http":  "serve HTTP and WebSocket on the address",
		"proxy": "serve HTTP behind PROXY protocol 1 and 2 on the address; connections without it are closed",
		"tls":   "serve HTTPS, HTTP/1.1 and HTTP/2, on the address",
		"grpc":  "serve gRPC without TLS on the address",
		"echo":  "serve TCP on the address: a line with the name, then what comes",
		"udp":   "serve UDP on the address: each datagram is answered by the name and the sender's address",
	} {
		addresses[kind] = flag.String(kind, "", about)
	}
	forward := flag.String("forward", "", "ADDRESS=PATH: carry TCP connections on the address to a unix socket")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *name, addresses, *forward); err != nil && ctx.Err() == nil {
		log.Fatalf("%s: %v", *name, err)
	}
}

// run serves until the context ends or one of the servers fails.
func run(ctx context.Context, name string, addresses map[string]*string, forward string) error {
	servers := map[string]func(ctx context.Context, name, address string) error{
		"http": serveHTTP, "proxy": serveProxied, "tls": serveTLS, "grpc": serveGRPC, "echo": serveEcho, "udp": serveUDP,
	}
	group, ctx := errgroup.WithContext(ctx)
	started := 0
	for kind, serve := range servers {
		if address := *addresses[kind]; address != "" {
			started++
			group.Go(func() error {
				if err := serve(ctx, name, address); err != nil {
					return fmt.Errorf("%s on %s: %w", kind, address, err)
				}
				return nil
			})
		}
	}
	if forward != "" {
		started++
		group.Go(func() error { return carry(ctx, forward) })
	}
	if started == 0 {
		return errors.New("nothing to serve: see -help")
	}
	return group.Wait()
}
