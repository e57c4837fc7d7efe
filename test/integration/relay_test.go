package integration

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay is the way of an amphora to a controller: it can lead to another one, or swallow everything.
type relay struct {
	socket net.Listener

	mu          sync.Mutex
	targets     []string // in turn
	connections map[net.Conn]struct{}
	swallows    map[net.Conn]bool
	accepted    int
}

// startRelay starts one that leads each connection to the next of the targets.
func startRelay(t *testing.T, targets ...string) *relay {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &relay{socket: socket, targets: targets, connections: map[net.Conn]struct{}{}, swallows: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := socket.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = socket.Close()
		r.cut()
		running.Wait()
	})
	return r
}

func (r *relay) address() string { return r.socket.Addr().String() }

func (r *relay) serve(client net.Conn) {
	r.mu.Lock()
	target := r.targets[r.accepted%len(r.targets)]
	r.accepted++
	r.connections[client] = struct{}{}
	r.mu.Unlock()
	defer client.Close()
	upstream, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer upstream.Close()
	r.mu.Lock()
	r.connections[upstream] = struct{}{}
	r.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, upstream}, {upstream, client}} {
		both.Go(func() {
			_, _ = io.Copy(&gate{r, client, way[0]}, way[1])
			// A swallowed connection stays open at the other side.
			r.mu.Lock()
			swallowed := r.swallows[client]
			r.mu.Unlock()
			if !swallowed {
				_ = way[0].Close()
			}
		})
	}
	both.Wait()
}

// gate is one way of a connection, which drops what goes through when it is swallowed.
type gate struct {
	relay  *relay
	client net.Conn
	to     net.Conn
}

func (g *gate) Write(bytes []byte) (int, error) {
	g.relay.mu.Lock()
	swallowed := g.relay.swallows[g.client]
	g.relay.mu.Unlock()
	if swallowed {
		return len(bytes), nil
	}
	return g.to.Write(bytes)
}

// lead has all further connections go to another controller, and ends those that are.
func (r *relay) lead(target string) {
	r.mu.Lock()
	r.targets = []string{target}
	r.mu.Unlock()
	r.cut()
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for connection := range r.connections {
		_ = connection.Close()
	}
	clear(r.connections)
}

// swallow drops everything on the connections there are, without a word to either side; new ones work.
func (r *relay) swallow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for connection := range r.connections {
		r.swallows[connection] = true
	}
}

func (r *relay) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}
