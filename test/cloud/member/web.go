package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"
)

// handler answers any path with the member's name, and some with more:
//
//	/request           the request as it arrived, in JSON: see seen
//	/slow?for=500ms    the name after that time
//	/login?cookie=NAME the name, and a cookie of the application: NAME=<member>-session
//	/echo              WebSocket: each message comes back behind the member's name and a colon
//
// Each answer has the name in the header Server-Name.
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
		_ = json.NewEncoder(w).Encode(requestAsSeen(name, r))
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", r.FormValue("cookie")+"="+name+"-session; Path=/; HttpOnly")
		fmt.Fprintln(w, name)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { echoMessages(w, r, name) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server-Name", name)
		mux.ServeHTTP(w, r)
	})
}

// seen is a request as it arrived.
type seen struct {
	Name     string      `json:"name"`
	Method   string      `json:"method"`
	Target   string      `json:"target"`
	Host     string      `json:"host"`
	Protocol string      `json:"protocol"`
	Headers  http.Header `json:"headers"`
	// Remote is the other end of the connection: what PROXY protocol said of it, where that is spoken.
	Remote string `json:"remote"`
	// Proxy is what PROXY protocol said; nil where it is not spoken.
	Proxy *seenProxy `json:"proxy,omitempty"`
	// TLS is what the client's hello asked for; nil without TLS.
	TLS *seenTLS `json:"tls,omitempty"`
}

type seenProxy struct {
	Version     int    `json:"version"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

type seenTLS struct {
	ServerName string `json:"server_name"`
	ALPN       string `json:"alpn"`
}

func requestAsSeen(name string, r *http.Request) seen {
	s := seen{
		Name: name, Method: r.Method, Target: r.RequestURI, Host: r.Host, Protocol: r.Proto, Headers: r.Header, Remote: r.RemoteAddr,
	}
	if header, ok := r.Context().Value(proxyHeader{}).(*proxyproto.Header); ok && header != nil {
		s.Proxy = &seenProxy{
			Version: int(header.Version), Source: header.SourceAddr.String(), Destination: header.DestinationAddr.String(),
		}
	}
	if r.TLS != nil {
		s.TLS = &seenTLS{ServerName: r.TLS.ServerName, ALPN: r.TLS.NegotiatedProtocol}
	}
	return s
}

func echoMessages(w http.ResponseWriter, r *http.Request, name string) {
	connection, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = connection.CloseNow() }()
	for {
		kind, message, err := connection.Read(r.Context())
		if err != nil {
			return
		}
		if err := connection.Write(r.Context(), kind, append([]byte(name+": "), message...)); err != nil {
			return
		}
	}
}

func serveHTTP(ctx context.Context, name, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return serveWeb(ctx, listener, handler(name))
}

// proxyHeader is the key of a connection's PROXY header in the contexts of its requests.
type proxyHeader struct{}

func serveProxied(ctx context.Context, name, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	proxied := &proxyproto.Listener{
		Listener: listener, ReadHeaderTimeout: time.Minute,
		ConnPolicy: func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return proxyproto.REQUIRE, nil },
	}
	return serveWeb(ctx, proxied, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if connection, ok := r.Context().Value(connectionKey{}).(*proxyproto.Conn); ok {
			r = r.WithContext(context.WithValue(r.Context(), proxyHeader{}, connection.ProxyHeader()))
		}
		handler(name).ServeHTTP(w, r)
	}))
}

// connectionKey is the key of the connection in the contexts of its requests.
type connectionKey struct{}

// serveWeb serves until the context ends.
func serveWeb(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, connection net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, connection)
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	return server.Serve(listener)
}
