package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// roleVariable makes the test's binary one of the programs that are measured.
const roleVariable = "BENCH_ROLE"

// profiles is a folder for what explains the results; "" writes nothing.
var profiles = os.Getenv("BENCH_PROFILES")

func TestMain(m *testing.M) {
	roles := map[string]func(context.Context, settings) (handler, error){
		"controller": startController, "bare": startBare,
	}
	start := roles[os.Getenv(roleVariable)]
	if start == nil {
		os.Exit(m.Run())
	}
	if err := serveOrders(start); err != nil {
		fmt.Fprintln(os.Stderr, os.Getenv(roleVariable)+":", err)
		os.Exit(1)
	}
}

// settings are what a program is started with, the first line that it reads.
type settings struct {
	// Dir holds the sockets, and the CA.
	Dir string
	DSN string
	// Address is where it serves xDS; "" for any port.
	Address string
	// Admin is the real Envoy's admin socket, which is asked whether it is warm; without it an ACK is taken for warm, which it is
	// with a fake one.
	Admin string
}

// order is a line that a program reads.
type order struct {
	Do    string
	Shape shape
	// First and Count say which load balancers.
	First, Count int
	// Flavor is that of all of them.
	Flavor map[string]any
	File   string
}

// answer is the line that it answers with.
type answer struct {
	Error   string
	Address string
	Count   int
	Values  map[string]float64
}

// handler obeys an order.
type handler func(order) (answer, error)

// serveOrders is the main of a program. It ends when nobody is left to give orders.
func serveOrders(start func(context.Context, settings) (handler, error)) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	var s settings
	if err := readLine(in, &s); err != nil {
		return err
	}
	handle, err := start(ctx, s)
	if err != nil {
		return err
	}
	if err := out.Encode(answer{}); err != nil {
		return err
	}
	for {
		var o order
		if err := readLine(in, &o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		a, err := obey(o, handle)
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func obey(o order, handle handler) (answer, error) {
	switch o.Do {
	case "memory":
		return memory(), nil
	case "profile":
		if o.File == "" {
			pprof.StopCPUProfile()
			return answer{}, nil
		}
		file, err := os.Create(o.File)
		if err != nil {
			return answer{}, err
		}
		return answer{}, pprof.StartCPUProfile(file)
	case "heap":
		file, err := os.Create(o.File)
		if err != nil {
			return answer{}, err
		}
		return answer{}, errors.Join(pprof.Lookup("heap").WriteTo(file, 0), file.Close())
	}
	return handle(o)
}

func readLine(in *bufio.Reader, into any) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, into)
}

// program is a running one, as its parent sees it.
type program struct {
	pid  int
	in   io.WriteCloser
	out  *bufio.Reader
	stop func()
}

func startProgram(tb testing.TB, role string, s settings) *program {
	tb.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), roleVariable+"="+role)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	require.NoError(tb, err)
	out, err := command.StdoutPipe()
	require.NoError(tb, err)
	stop := testkit.Start(tb, command)
	p := &program{pid: command.Process.Pid, in: in, out: bufio.NewReader(out), stop: stop}
	require.NoError(tb, json.NewEncoder(in).Encode(s))
	p.answer(tb)
	return p
}

// do gives an order and returns its outcome.
func (p *program) do(tb testing.TB, o order) answer {
	tb.Helper()
	require.NoError(tb, json.NewEncoder(p.in).Encode(o))
	return p.answer(tb)
}

func (p *program) answer(tb testing.TB) answer {
	tb.Helper()
	var a answer
	require.NoError(tb, readLine(p.out, &a))
	require.Empty(tb, a.Error)
	return a
}

// resident is the memory of a process that is in RAM, in MiB.
func resident(tb testing.TB, pid int) float64 {
	tb.Helper()
	return testkit.Resident(tb, pid) / 1024
}
