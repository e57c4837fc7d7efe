package statistics

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"google.golang.org/protobuf/encoding/protojson"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

// kept is what the agent's file holds: what Envoy cannot tell again. It is written when that changes, which is seldom.
type kept struct {
	Current *epoch      `json:"current,omitempty"`
	Ended   []keptWords `json:"ended,omitempty"`
}

type keptWords struct {
	Report json.RawMessage `json:"report"`
	Sent   bool            `json:"sent"`
}

// load reads the file.
func (c *Collector) load() error {
	if c.options.File == "" {
		return nil
	}
	data, err := os.ReadFile(c.options.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var read kept
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("%s: %w", c.options.File, err)
	}
	for _, words := range read.Ended {
		report := &agentapiv1.StatisticsReport{}
		if err := protojson.Unmarshal(words.Report, report); err != nil {
			return fmt.Errorf("%s: %w", c.options.File, err)
		}
		c.ended = append(c.ended, lastWord{report: report, sent: words.Sent})
	}
	// Not the last word of that epoch, should it be over: the agent before this one has read more.
	if c.current = read.Current; c.current != nil {
		c.current.sent = true
		for id, counted := range c.current.Listeners {
			if counted == nil || counted.Before == nil {
				delete(c.current.Listeners, id)
			}
		}
	}
	return nil
}

// save writes the file; c.mu is held.
func (c *Collector) save() {
	if c.options.File == "" {
		return
	}
	keep := kept{}
	if c.current != nil {
		keep.Current = newEpoch(c.current.ID)
		for id, counted := range c.current.Listeners {
			if len(counted.Before) > 0 {
				keep.Current.Listeners[id] = counted
			}
		}
	}
	for _, last := range c.ended {
		data, err := protojson.Marshal(last.report)
		if err != nil {
			c.options.Logger.Error("cannot keep what was counted", "error", err)
			return
		}
		keep.Ended = append(keep.Ended, keptWords{Report: data, Sent: last.sent})
	}
	data, err := json.Marshal(keep)
	if err == nil {
		err = certs.WriteFile(c.options.File, data, 0o600)
	}
	if err != nil {
		c.options.Logger.Error("cannot keep what was counted", "error", err)
	}
}
