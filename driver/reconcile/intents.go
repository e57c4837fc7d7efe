package reconcile

import (
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func ids(intents []model.Intent) []int64 {
	var all []int64
	for _, intent := range intents {
		all = append(all, intent.ID)
	}
	return all
}

func requestIDs(intents []model.Intent) string {
	var all []string
	for _, intent := range intents {
		if intent.RequestID != "" {
			all = append(all, intent.RequestID)
		}
	}
	return strings.Join(all, " ")
}

func created(intents []model.Intent) bool {
	return slices.ContainsFunc(intents, func(intent model.Intent) bool {
		return intent.Op == model.OpCreate && intent.Object.Kind == model.KindLoadBalancer
	})
}

func deletesAll(intents []model.Intent) bool {
	return slices.ContainsFunc(intents, func(intent model.Intent) bool {
		return intent.Op == model.OpDelete && intent.Object.Kind == model.KindLoadBalancer
	})
}

func asksFailover(intents []model.Intent) bool {
	return slices.ContainsFunc(intents, func(intent model.Intent) bool { return intent.Op == model.OpFailover })
}

// asked returns the intents that Octavia waits for the end of.
func asked(intents []model.Intent) []model.Intent {
	return slices.DeleteFunc(slices.Clone(intents), func(intent model.Intent) bool { return intent.Op == model.OpRefresh })
}
