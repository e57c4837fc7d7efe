// Package flavor is the metadata of an Octavia flavor profile: what an operator sets that Octavia's API has no words for.
//
//	flavorprofile.flavor_data ─► Parse ─► Flavor ─► xds/translate
//
// What each key does is in schema.json, and nowhere else: the API's capabilities, the checks and the documentation are
// made from it. A key that is absent leaves the behaviour of Octavia's amphora driver, so that the zero Flavor is that of
// a load balancer without one. A load balancer keeps its flavor for life.
package flavor

// Flavor is a flavor profile's metadata, checked. Times are in milliseconds, sizes in bytes. A group that is nil is off.
type Flavor struct {
	// Topology is how many amphorae serve a load balancer: SINGLE or "".
	Topology string `json:"loadbalancer_topology,omitempty"`
	// Members is how HTTP is spoken to members.
	Members *Members `json:"member_http,omitempty"`
	// Clients is how HTTP is spoken to clients.
	Clients *Clients `json:"client_http,omitempty"`
	// Compression compresses answers for clients that ask for it.
	Compression *Compression `json:"compression,omitempty"`
	// Retries sends a request to another member when one fails it. Without it only failed connects are tried again.
	Retries *Retries `json:"retries,omitempty"`
	// OutlierDetection takes members out for a while that fail what they are sent.
	OutlierDetection *OutlierDetection `json:"outlier_detection,omitempty"`
	// CircuitBreaking bounds what a pool's members get at once; without it there is no bound.
	CircuitBreaking *CircuitBreaking `json:"circuit_breaking,omitempty"`
	// SlowStart lets the share of a new member grow.
	SlowStart *SlowStart `json:"slow_start,omitempty"`
	// BufferBytes is the most that is buffered for a connection, on either side; 0 is Envoy's default of 1 MiB.
	BufferBytes int `json:"buffer_bytes,omitempty"`
	// Keepalive probes idle TCP connections, on either side; nil leaves them to the other end.
	Keepalive *Keepalive `json:"tcp_keepalive,omitempty"`
	// AccessLog writes a line a request, or a connection where requests are not seen.
	AccessLog bool `json:"access_log,omitempty"`
	// HTTP3 has TERMINATED_HTTPS listeners answer by HTTP/3, too, over UDP at the same port.
	HTTP3 bool `json:"http3,omitempty"`
	// RequestID is what becomes of X-Request-Id: one of the RequestID constants or "".
	RequestID string `json:"request_id,omitempty"`
}

// What becomes of X-Request-Id on its way to a member.
const (
	// RequestIDPass passes on what the client sent; the default.
	RequestIDPass = "pass"
	// RequestIDKeep adds one to a request without, and tells it to the client.
	RequestIDKeep = "keep"
	// RequestIDReplace gives every request a new one, and tells it to the client.
	RequestIDReplace = "replace"
)

// HTTP versions that members can be spoken to.
const (
	HTTP1 = "1.1"
	HTTP2 = "2"
)

// Members is how HTTP is spoken to members.
type Members struct {
	// Version is HTTP1, the default, or HTTP2, which gRPC needs: without TLS by prior knowledge (h2c).
	Version string `json:"version,omitempty"`
	// IdleTimeout in ms closes a connection that waits for its next request; 0 is the default of 4 s.
	IdleTimeout int `json:"idle_timeout_ms,omitempty"`
	// MaxRequests is the number of requests after which a connection is closed; 0 is no limit.
	MaxRequests int `json:"max_requests_per_connection,omitempty"`
	// MaxStreams is how many requests an HTTP/2 connection carries at once; 0 is Envoy's default.
	MaxStreams int `json:"max_concurrent_streams,omitempty"`
}

// Clients is how HTTP is spoken to clients.
type Clients struct {
	// HeadersTimeout in ms is the time to send the headers of a request in; 0 leaves timeout_client_data alone.
	HeadersTimeout int `json:"request_headers_timeout_ms,omitempty"`
	// RequestTimeout in ms is the time to send a whole request in; 0 is none.
	RequestTimeout int `json:"request_timeout_ms,omitempty"`
	// MaxDuration in ms closes a connection of that age, when its requests are done; 0 is none.
	MaxDuration int `json:"max_connection_duration_ms,omitempty"`
	// MaxRequests is the number of requests after which a connection is closed; 0 is no limit.
	MaxRequests int `json:"max_requests_per_connection,omitempty"`
	// MaxStreams is how many requests an HTTP/2 connection carries at once; 0 is Envoy's default.
	MaxStreams int `json:"max_concurrent_streams,omitempty"`
	// DrainTimeout in ms is the grace between telling a client that a connection ends and ending it; 0 is 1 s.
	DrainTimeout int `json:"drain_timeout_ms,omitempty"`
}

// Compression compresses answers for clients that ask for it.
type Compression struct {
	// Algorithms are gzip, brotli and zstd; the first wins where a client likes several alike.
	Algorithms []string `json:"algorithms"`
	// MinLength is the size in bytes below which nothing is compressed.
	MinLength int `json:"min_length,omitempty"`
	// ContentTypes are the media types that are compressed.
	ContentTypes []string `json:"content_types,omitempty"`
}

// Retries sends a request to another member when one fails it.
type Retries struct {
	// On are Envoy's conditions: 5xx, gateway-error, reset, connect-failure, refused-stream, retriable-4xx and gRPC's.
	On []string `json:"retry_on"`
	// Attempts is how many more members are tried.
	Attempts int `json:"attempts"`
	// TryTimeout in ms is the longest that one try may take; 0 leaves timeout_member_data alone.
	TryTimeout int `json:"try_timeout_ms,omitempty"`
	// Backoff in ms is the first wait between tries; it doubles, up to ten times itself. 0 is Envoy's default of 25 ms.
	Backoff int `json:"backoff_ms,omitempty"`
	// Budget is the most of all active requests, in percent, that may be retries; 0 is Envoy's default of 3 retries at once.
	Budget int `json:"budget_percent,omitempty"`
}

// OutlierDetection takes members out for a while that fail what they are sent.
type OutlierDetection struct {
	// Consecutive5xx is the number of failures in a row that takes a member out; 0 is not at all.
	Consecutive5xx int `json:"consecutive_5xx,omitempty"`
	// ConsecutiveGateway counts 502, 503, 504 and broken connections only; 0 is not at all.
	ConsecutiveGateway int `json:"consecutive_gateway_errors,omitempty"`
	// Interval in ms is that at which members come back; 0 is Envoy's default of 10 s.
	Interval int `json:"interval_ms,omitempty"`
	// Ejection in ms is how long a member is out the first time; 0 is Envoy's default of 30 s.
	Ejection int `json:"ejection_ms,omitempty"`
	// MaxEjected is the most of a pool, in percent, that may be out; 0 is Envoy's default of 10, and one member at least.
	MaxEjected int `json:"max_ejected_percent,omitempty"`
}

// CircuitBreaking bounds what a pool's members get at once, per amphora. 0 is no bound.
type CircuitBreaking struct {
	MaxConnections int `json:"max_connections,omitempty"`
	MaxPending     int `json:"max_pending_requests,omitempty"`
	MaxRequests    int `json:"max_requests,omitempty"`
	MaxRetries     int `json:"max_retries,omitempty"`
}

// SlowStart lets the share of a new member grow.
type SlowStart struct {
	// Window in ms is the time until it has its whole share.
	Window int `json:"window_ms"`
	// MinWeight is the share that it begins with, in percent; 0 is Envoy's default of 10.
	MinWeight int `json:"min_weight_percent,omitempty"`
}

// Keepalive probes idle TCP connections.
type Keepalive struct {
	// Idle in ms is the silence before the first probe; whole seconds.
	Idle int `json:"idle_ms"`
	// Interval in ms is the time between probes; whole seconds.
	Interval int `json:"interval_ms"`
	// Probes that are not answered close the connection.
	Probes int `json:"probes"`
}
