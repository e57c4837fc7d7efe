// Command lab-member is what runs on the hosts of the lab: a web server that says who it is, or a door to a unix socket.
//
//	lab-member -name member1 -http :80                     every answer names the member
//	lab-member -forward :3306=/run/…/mysqld.sock           every connection is carried to the socket
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

func main() {
	name := flag.String("name", "member", "the name that answers carry")
	address := flag.String("http", "", "address to serve HTTP on")
	forward := flag.String("forward", "", "ADDRESS=PATH: carry TCP connections on the address to a unix socket")
	flag.Parse()
	if err := run(*name, *address, *forward); err != nil {
		log.Fatalf("%s: %v", *name, err)
	}
}

func run(name, address, forward string) error {
	switch {
	case address != "":
		server := &http.Server{Addr: address, Handler: handler(name), ReadHeaderTimeout: time.Minute}
		return server.ListenAndServe()
	case forward != "":
		listen, path, ok := strings.Cut(forward, "=")
		if !ok {
			return fmt.Errorf("-forward %q is not ADDRESS=PATH", forward)
		}
		return carry(listen, path)
	}
	return errors.New("one of -http and -forward is needed")
}

// handler answers any path with the member's name, /request with the request as it arrived, in JSON, and
// /slow?for=500ms with the name after that time. Each answer has the name in the header Server-Name.
func handler(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.FormValue("for"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(wait):
			fmt.Fprintln(w, name)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/request", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"name": name, "method": r.Method, "target": r.RequestURI, "host": r.Host, "protocol": r.Proto,
			"headers": r.Header, "remote": r.RemoteAddr,
		})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server-Name", name)
		mux.ServeHTTP(w, r)
	})
}

// carry accepts TCP connections and carries each to a unix socket until one side closes.
func carry(address, path string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("unix", path)
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
		}()
	}
}
