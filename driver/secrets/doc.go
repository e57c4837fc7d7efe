// Package secrets reads the certificates of load balancers from Barbican, when octavia-api has not handed them over.
//
// Usually it has: a tree of the driver-agent's get.sock holds what its references refer to, whatever certificate manager
// Octavia has. But the driver-agent gives no answer about a load balancer one certificate of which it cannot read, and never
// says which. Then the tree comes from the REST API, without certificates, and Resolve fills it: from Barbican, by the
// service user, and what Barbican does not give from what was published before. What runs keeps running, and what is new
// has an error of its own.
package secrets
