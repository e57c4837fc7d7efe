package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
)

// serveUDP answers each datagram by the member's name, a blank and the address that it came from.
func serveUDP(ctx context.Context, name, address string) error {
	socket, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	defer stop()
	buffer := make([]byte, 64<<10)
	for {
		_, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := socket.WriteTo(fmt.Appendf(nil, "%s %s", name, from), from); err != nil {
			log.Print(err)
		}
	}
}

// serveEcho greets each connection by a line with the member's name, and sends back what comes.
func serveEcho(ctx context.Context, name, address string) error {
	return accept(ctx, address, func(client net.Conn) {
		if _, err := fmt.Fprintln(client, name); err == nil {
			_, _ = io.Copy(client, client)
		}
	})
}

// carry accepts TCP connections and carries each to a unix socket until one side closes; forward is ADDRESS=PATH.
func carry(ctx context.Context, forward string) error {
	address, path, ok := strings.Cut(forward, "=")
	if !ok {
		return fmt.Errorf("-forward %q is not ADDRESS=PATH", forward)
	}
	return accept(ctx, address, func(client net.Conn) {
		server, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			log.Print(err)
			return
		}
		defer server.Close()
		done := make(chan struct{}, 2)
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			go func() {
				_, _ = io.Copy(way[0], way[1])
				done <- struct{}{}
			}()
		}
		<-done
	})
}

// accept serves each TCP connection to an address, and closes it afterwards, until the context ends.
func accept(ctx context.Context, address string, serve func(net.Conn)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			serve(client)
		}()
	}
}
