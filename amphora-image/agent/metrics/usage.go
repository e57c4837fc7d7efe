package metrics

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
)

// Usage is what Envoy takes of the machine, in percent of all of it.
type Usage struct {
	CPU, Memory float64
}

// usageOf returns a function for the usage of a process since the function was last called, the first time since the process
// began. It is not the load average and free memory of the machine, which may have more on it than one load balancer.
func usageOf(process func() process.ID, now func() time.Time) func() (Usage, bool) {
	last, spent, at := process(), time.Duration(0), time.Time{}
	return func() (Usage, bool) {
		current := process()
		memory, total := current.Memory(), machineMemory()
		if memory == 0 || total == 0 {
			return Usage{}, false
		}
		cpu, moment := current.CPU(), now()
		since := moment.Sub(at)
		if at.IsZero() || current != last {
			spent, since = 0, current.Age()
		}
		share := 0.0
		if since > 0 {
			share = 100 * float64(cpu-spent) / float64(since) / float64(runtime.NumCPU())
		}
		last, spent, at = current, cpu, moment
		return Usage{CPU: share, Memory: 100 * float64(memory) / float64(total)}, true
	}
}

// machineMemory is the machine's memory in bytes; 0 when it cannot be read.
func machineMemory() uint64 {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "MemTotal:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kibibytes, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return kibibytes << 10
}
