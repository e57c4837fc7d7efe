package model

// Counters are what one listener has counted on one amphora. They only grow.
type Counters struct {
	// TotalConnections are connections accepted; sessions for UDP.
	TotalConnections uint64 `json:"total_connections,omitempty"`
	// BytesIn and BytesOut are bytes from clients and to them.
	BytesIn  uint64 `json:"bytes_in,omitempty"`
	BytesOut uint64 `json:"bytes_out,omitempty"`
	// RequestErrors are requests that came to no proper end (octavia/statistics: ereq of HAProxy).
	RequestErrors uint64 `json:"request_errors,omitempty"`
	// Responses counts requests that were answered, by class of status: 1xx first.
	Responses [5]uint64 `json:"responses"`
	// RequestTimes are cumulative and ascending, of HTTP listeners.
	RequestTimes []TimeBucket `json:"request_times,omitempty"`
	// RequestTimeSum is in milliseconds.
	RequestTimeSum uint64 `json:"request_time_sum,omitempty"`
}

// TimeBucket counts the requests that took at most so long.
type TimeBucket struct {
	// UpperBound is in milliseconds.
	UpperBound float64 `json:"le"`
	Count      uint64  `json:"count"`
}

// ListenerStatistics are what one amphora has counted for one listener.
type ListenerStatistics struct {
	// ActiveConnections is how many there were when last heard.
	ActiveConnections uint64 `json:"active_connections,omitempty"`
	// Before is what was counted before the counters last began anew, Now what they said last.
	Before Counters `json:"before"`
	Now    Counters `json:"now"`
}

// AmphoraStatistics are what one amphora has counted, whatever became of its Envoys.
type AmphoraStatistics struct {
	// Epoch names the Envoy process that counts; its successor begins at 0.
	Epoch string `json:"epoch,omitempty"`
	// Listeners are by id.
	Listeners map[string]ListenerStatistics `json:"listeners"`
}

// LoadBalancerStatistics are by amphora; "" holds the sums of those that are gone.
type LoadBalancerStatistics map[string]AmphoraStatistics
