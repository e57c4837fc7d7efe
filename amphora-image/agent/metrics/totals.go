package metrics

import "maps"

// totals are the sums over all listeners, which do not fall when a listener goes: Prometheus would take that for a restart
// and count everything again.
type totals struct {
	last map[string]figures
	// gone are the last figures of listeners that went. They may come back, and go on counting where they were for as long as
	// their old connections drain.
	gone map[string]figures
	// base is what was counted by listeners that came back and began again.
	base figures
}

// add returns the sums with the listeners of now.
func (t *totals) add(listeners []object) figures {
	now := make(map[string]figures, len(listeners))
	whole := figures{}
	for i := range listeners {
		name := listeners[i].labels[0]
		now[name] = listeners[i].figures
		if before, was := t.gone[name]; was {
			if restarted(before, now[name]) {
				t.base = plus(t.base, before)
			}
			delete(t.gone, name)
		}
		plus(whole, now[name])
	}
	if t.gone == nil {
		t.gone = map[string]figures{}
	}
	for name, before := range t.last {
		if now[name] == nil {
			t.gone[name] = counters(before)
		}
	}
	t.last = now
	for _, before := range t.gone {
		plus(whole, before)
	}
	return plus(whole, t.base)
}

// counters are the figures of a listener that only grow.
func counters(of figures) figures {
	kept := figures{}
	for _, metric := range loadBalancerMetrics() {
		for _, series := range metric.Series {
			for _, name := range series.Sum {
				if value, has := of[name]; has && metric.isCounter() {
					kept[name] = value
				}
			}
		}
	}
	return kept
}

func restarted(before, now figures) bool {
	for name, value := range before {
		if now[name] < value {
			return true
		}
	}
	return false
}

func plus(whole, more figures) figures {
	if whole == nil {
		return maps.Clone(more)
	}
	for name, value := range more {
		whole[name] += value
	}
	return whole
}
