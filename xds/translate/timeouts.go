package translate

import (
	"fmt"
	"math"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// maxTimeout is HAProxy's longest timeout, in milliseconds: 24.8 days.
const maxTimeout = math.MaxInt32

// A timeout of 0 is Octavia's default, as the amphora driver reads it (jinja_cfg.py: `listener.timeout_… or CONF…`).

// clientTimeout is the longest silence of a client, in milliseconds.
func clientTimeout(l *model.Listener) int {
	return orDefault(l.TimeoutClientData, model.DefaultTimeoutClientData)
}

// connectTimeout is the longest time to connect to a member, in milliseconds.
func connectTimeout(l *model.Listener) int {
	return orDefault(l.TimeoutMemberConnect, model.DefaultTimeoutMemberConnect)
}

// memberTimeout is the longest silence of a member, in milliseconds.
func memberTimeout(l *model.Listener) int {
	return orDefault(l.TimeoutMemberData, model.DefaultTimeoutMemberData)
}

// silence is the longest time in which neither side sends anything, in milliseconds. Envoy has one such timeout for
// both sides of a TCP connection or HTTP stream. The shorter of the two would cut off a client that waits for a slow
// member, as it may; so it is the longer one.
func silence(l *model.Listener) int { return max(clientTimeout(l), memberTimeout(l)) }

func orDefault(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

func checkTimeout(value int) error {
	if value < 0 || value > maxTimeout {
		return fmt.Errorf("%d is not a timeout: 0 to %d ms", value, maxTimeout)
	}
	return nil
}
