package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// ErrUnknownNode is returned for an amphora without resources and without a stream.
var ErrUnknownNode = errors.New("amphora is not known to the xDS server")

// ErrRemoved is returned by a Wait whose amphora was removed meanwhile.
var ErrRemoved = errors.New("amphora was removed")

// NACKError says which resources Envoy refused, in its own words.
type NACKError struct {
	Node     string
	Rejected map[Key]string
}

// Error lists the rejections in a stable order.
func (e *NACKError) Error() string {
	texts := make([]string, 0, len(e.Rejected))
	for _, key := range slices.SortedFunc(maps.Keys(e.Rejected), compare) {
		texts = append(texts, fmt.Sprintf("%s: %s", key, e.Rejected[key]))
	}
	return fmt.Sprintf("amphora %s refused %s", e.Node, strings.Join(texts, "; "))
}

// Wait returns when the node's Envoy has decided on all that is asked: nil when it acknowledged every wanted version and
// holds nothing of gone, a *NACKError when it refused some. When ctx ends before that, the error names what is missing
// and why, and wraps ctx's cause.
func (s *Server) Wait(ctx context.Context, nodeID string, want map[Key]string, gone []Key) error {
	rejected := map[Key]string{}
	open, leaving := maps.Clone(want), slices.Clone(gone)
	err := s.until(ctx, nodeID, func(n *node) bool {
		maps.DeleteFunc(open, func(key Key, version string) bool {
			if rejection, refused := n.rejected[key]; refused && rejection.Version == version {
				rejected[key] = rejection.Text
				return true
			}
			h := n.held(key.TypeURL)
			return h != nil && h.acked[key.Name] == version
		})
		leaving = slices.DeleteFunc(leaving, func(key Key) bool {
			d := n.desired[key.TypeURL]
			if d == nil {
				return true
			}
			_, pending := d.tombstones[key.Name]
			return !pending
		})
		return len(open) == 0 && len(leaving) == 0
	}, func(n *node) string { return n.missing(open, leaving) })
	if err != nil {
		return err
	}
	if len(rejected) > 0 {
		return &NACKError{Node: nodeID, Rejected: rejected}
	}
	return nil
}

// WaitTold returns when the node is connected and has said what it holds of all these types: only then Held is complete.
func (s *Server) WaitTold(ctx context.Context, nodeID string, typeURLs ...string) error {
	return s.until(ctx, nodeID, func(n *node) bool {
		for _, typeURL := range typeURLs {
			if n.held(typeURL) == nil {
				return false
			}
		}
		return n.connected
	}, func(n *node) string {
		if !n.connected {
			return fmt.Sprintf("amphora %s is not connected", n.id)
		}
		return fmt.Sprintf("amphora %s has not asked for its resources", n.id)
	})
}

// until waits for done, which is called with n.mu held whenever something has changed. On ctx's end it returns what
// missing says, wrapping the cause.
func (s *Server) until(ctx context.Context, nodeID string, done func(*node) bool, missing func(*node) string) error {
	n := s.nodes.get(nodeID)
	if n == nil {
		return fmt.Errorf("%w: %s", ErrUnknownNode, nodeID)
	}
	for {
		n.mu.Lock()
		finished, removed, changed, reason := done(n), n.removed, n.changed, ""
		if ctx.Err() != nil {
			reason = missing(n)
		}
		n.mu.Unlock()
		switch {
		case finished:
			return nil
		case removed:
			return fmt.Errorf("%w: %s", ErrRemoved, nodeID)
		case reason != "":
			return fmt.Errorf("%s: %w", reason, context.Cause(ctx))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// missing says in words what has not been decided, five at most. n.mu is held.
func (n *node) missing(open map[Key]string, leaving []Key) string {
	const most = 5
	texts := make([]string, 0, len(open)+len(leaving))
	for _, key := range slices.SortedFunc(maps.Keys(open), compare) {
		texts = append(texts, fmt.Sprintf("%s not acknowledged by amphora %s: %s", key, n.id, n.why(key)))
	}
	slices.SortFunc(leaving, compare)
	for _, key := range leaving {
		texts = append(texts, fmt.Sprintf("removal of %s not acknowledged by amphora %s: %s", key, n.id, n.why(key)))
	}
	if more := len(texts) - most; more > 0 {
		texts = append(texts[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

func (n *node) why(key Key) string {
	h := n.held(key.TypeURL)
	switch {
	case !n.connected:
		return "not connected"
	case h == nil:
		return "it has not asked for any " + Kind(key.TypeURL)
	case !h.wants(key.Name):
		return "it has not asked for it"
	case key.TypeURL == resource.ClusterType:
		// Envoy pauses its answers about clusters until none is warming (ClusterManagerImpl::updateClusterCounts).
		return "no answer, a cluster may be warming"
	default:
		return "no answer"
	}
}
