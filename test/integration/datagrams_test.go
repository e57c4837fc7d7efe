package integration

import (
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// datagrams are numbered, each is sent once, by turns on a socket that stays and on a socket of its own, and it is known of each
// whether a member got it and whether its answer came.
type datagrams struct {
	t       *testing.T
	address string
	kept    net.Conn
	running sync.WaitGroup

	mu sync.Mutex
	// open are all sockets. unheard and unanswered are the numbers of those that no member has got, and whose answer has not come.
	open                []net.Conn
	sent                uint64
	unheard, unanswered map[uint64]struct{}
}

func newDatagrams(t *testing.T, l model.Listener) *datagrams {
	t.Helper()
	d := &datagrams{t: t, address: at(l), unheard: map[uint64]struct{}{}, unanswered: map[uint64]struct{}{}}
	d.kept = d.socket()
	t.Cleanup(func() {
		d.mu.Lock()
		for _, connection := range d.open {
			_ = connection.Close()
		}
		d.mu.Unlock()
		d.running.Wait()
	})
	return d
}

// member echoes, and what it gets is noted.
func (d *datagrams) member(name string) model.Member {
	d.t.Helper()
	return hearing(d.t, name, func(datagram []byte) { d.note(datagram, d.unheard) })
}

func (d *datagrams) note(datagram []byte, missing map[uint64]struct{}) {
	if len(datagram) == 8 { // else it is a health check
		d.mu.Lock()
		delete(missing, binary.BigEndian.Uint64(datagram))
		d.mu.Unlock()
	}
}

func (d *datagrams) socket() net.Conn {
	d.t.Helper()
	connection, err := net.Dial("udp", d.address)
	must(d.t, err)
	d.mu.Lock()
	d.open = append(d.open, connection)
	d.mu.Unlock()
	d.running.Go(func() {
		buffer := make([]byte, 64)
		for {
			n, err := connection.Read(buffer)
			if err != nil {
				return
			}
			d.note(buffer[:n], d.unanswered)
		}
	})
	return connection
}

// send sends so many, one each 5 ms.
func (d *datagrams) send(count int) {
	d.t.Helper()
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for i := range count {
		connection := d.kept
		if i%2 == 1 {
			connection = d.socket()
		}
		d.mu.Lock()
		d.sent++
		number := d.sent
		d.unheard[number], d.unanswered[number] = struct{}{}, struct{}{}
		d.mu.Unlock()
		_, err := connection.Write(binary.BigEndian.AppendUint64(nil, number))
		must(d.t, err)
		<-pace.C
	}
}

// during sends while something is done, and for 100 ms more.
func (d *datagrams) during(do func()) {
	d.t.Helper()
	done := make(chan struct{})
	d.running.Go(func() { defer close(done); do() })
	for {
		select {
		case <-done:
			d.send(20)
			return
		default:
			d.send(2)
		}
	}
}

// lost waits until all of late answers have come that do, and returns and forgets those that no member got, and those whose answers
// have not come.
func (d *datagrams) lost() (unheard, unanswered int) {
	d.t.Helper()
	before, since := -1, time.Now()
	testkit.Until(d.t, "the last answers", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		unheard, unanswered = len(d.unheard), len(d.unanswered)
		if unheard+unanswered != before {
			before, since = unheard+unanswered, time.Now()
		}
		return unanswered == 0 || time.Since(since) > time.Second
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.unheard)
	clear(d.unanswered)
	return unheard, unanswered
}

// poolChange is a pool after a change.
type poolChange struct {
	name string
	pool model.Pool
}

// poolChanges are changes of a monitor of a kind and of members, of a pool that has the first two and no monitor.
func poolChanges(kind, protocol string, a, b, c, d model.Member) (before model.Pool, changes []poolChange) {
	plain := pool("p1", a, b)
	plain.Protocol = protocol
	with := func(members ...model.Member) model.Pool {
		p := plain
		p.Members = members
		return checkedBy(kind, p)
	}
	patient := with(a, b)
	patient.HealthMonitor.MaxRetriesDown = 5
	hashed := with(c, d)
	hashed.LBAlgorithm = model.AlgorithmSourceIP
	return plain, []poolChange{
		{"monitor added", with(a, b)},
		{"monitor changed", patient},
		{"monitor removed", plain},
		{"monitor added again", with(a, b)},
		{"member added", with(a, b, c)},
		{"member removed", with(b, c)},
		{"members replaced", with(a, d)},
		{"one replaced", with(c, d)},
		{"algorithm", hashed},
		{"monitor, members and algorithm", plain},
	}
}

// TestPoolChangesLoseNoDatagram changes the monitor and the members of a UDP pool, with datagrams all the while: each comes to a
// member. Answers that are under way when a session ends are lost; how many is chance.
func TestPoolChangesLoseNoDatagram(t *testing.T) {
	for _, kind := range []string{model.HealthMonitorUDPConnect, model.HealthMonitorTCP, model.HealthMonitorPing} {
		t.Run(kind, func(t *testing.T) {
			control, e := replacing(t)
			l := listener(t, "l1", "p1")
			l.Protocol = model.ProtocolUDP
			d := newDatagrams(t, l)
			before, changes := poolChanges(kind, model.ProtocolUDP, d.member("a"), d.member("b"), d.member("c"), d.member("d"))
			apply := func(p model.Pool) { control.accepted("amphora-1", translated(t, []model.Listener{l}, p)) }
			apply(before)
			for _, change := range changes {
				d.during(func() { apply(change.pool) })
				unheard, unanswered := d.lost()
				t.Logf("%-32s %d did not come to a member, %d answers did not come back", change.name, unheard, unanswered)
				if unheard > 0 {
					t.Errorf("%s: %d datagrams did not come to a member", change.name, unheard)
				}
			}
			if dropped := e.stat("cluster.udp_l1.upstream_cx_none_healthy"); dropped > 0 {
				t.Errorf("%d had no member", dropped)
			}
			t.Logf("%d datagrams", d.sent)
		})
	}
}

// TestPoolChangesEndSessions sees which changes of a UDP pool end sessions that have an answer under way: it is lost if they do.
func TestPoolChangesEndSessions(t *testing.T) {
	held := &holding{got: make(chan struct{}, 1), release: make(chan struct{})}
	mine, other := hearing(t, "mine", held.hear), echoing(t, "other")
	t.Cleanup(func() { close(held.release) })
	of := func(members ...model.Member) model.Pool {
		p := pool("p1", members...)
		p.Protocol = model.ProtocolUDP
		return p
	}
	checked := func(p model.Pool) model.Pool { return checkedBy(model.HealthMonitorTCP, p) }
	idle := other
	idle.Weight = 0
	hashed := of(mine)
	hashed.LBAlgorithm = model.AlgorithmSourceIP
	patient := checked(of(mine))
	patient.HealthMonitor.MaxRetriesDown = 5
	for name, test := range map[string]struct {
		before, after model.Pool
		ends          bool
	}{
		"monitor added":                   {of(mine), checked(of(mine)), true},
		"monitor changed":                 {checked(of(mine)), patient, true},
		"monitor removed":                 {checked(of(mine)), of(mine), true},
		"algorithm":                       {of(mine), hashed, true},
		"member added":                    {of(mine), of(mine, other), false},
		"member added to a monitored one": {checked(of(mine)), checked(of(mine, other)), false},
		"another member removed":          {of(mine, idle), of(mine), false},
		"another member, monitored":       {checked(of(mine, idle)), checked(of(mine)), false},
		"its member removed":              {of(mine), of(other), true},
		"its member removed, monitored":   {checked(of(mine)), checked(of(other)), true},
	} {
		t.Run(name, func(t *testing.T) {
			control, e := replacing(t)
			l := listener(t, "l1", "p1")
			l.Protocol = model.ProtocolUDP
			control.accepted("amphora-1", translated(t, []model.Listener{l}, test.before))
			client, err := net.Dial("udp", at(l))
			must(t, err)
			defer client.Close()
			say := func(what string) {
				_, err := client.Write([]byte(what))
				must(t, err)
			}
			say(holdIt)
			<-held.got
			control.accepted("amphora-1", translated(t, []model.Listener{l}, test.after))
			want := holdIt
			if test.ends {
				want = "next"
				testkit.Until(t, "the session ends", func() bool { return e.stat("udp.l1.downstream_sess_active") == 0 })
			}
			held.release <- struct{}{}
			say("next") // is answered after the other one
			answer := make([]byte, 64)
			must(t, client.SetDeadline(time.Now().Add(testkit.Patience)))
			n, err := client.Read(answer)
			must(t, err)
			if got := string(answer[:n]); got != want {
				t.Errorf("the first answer is %q, want %q", got, want)
			}
		})
	}
}

// holding has a member hold the answer to holdIt until it is released.
type holding struct{ got, release chan struct{} }

const holdIt = "hold it"

func (h *holding) hear(datagram []byte) {
	if string(datagram) == holdIt {
		h.got <- struct{}{}
		<-h.release
	}
}

// TestPoolChangesLoseNoConnection is the same of TCP: connections stay, and new ones are served.
func TestPoolChangesLoseNoConnection(t *testing.T) {
	for _, kind := range []string{model.HealthMonitorTCP, model.HealthMonitorPing} {
		t.Run(kind, func(t *testing.T) {
			control, _ := replacing(t)
			l := listener(t, "l1", "p1")
			l.Protocol = model.ProtocolTCP
			before, changes := poolChanges(kind, model.ProtocolTCP, echoing(t, "a"), echoing(t, "b"), echoing(t, "c"), echoing(t, "d"))
			control.accepted("amphora-1", translated(t, []model.Listener{l}, before))
			traffic := startCrowd(t)
			traffic.join("kept", 2, echoes("tcp", l, true))
			traffic.join("new", 2, echoes("tcp", l, false))
			traffic.going()
			for _, change := range changes {
				control.accepted("amphora-1", translated(t, []model.Listener{l}, change.pool))
				traffic.going()
			}
			traffic.lossless()
		})
	}
}
