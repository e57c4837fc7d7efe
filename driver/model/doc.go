// Package model holds Octavia's own tree in Octavia's words: a load balancer with its listeners, pools, members,
// health monitors and L7 policies, as octavia-lib's provider data models name and type them.
//
//	octavia-api ─► api ─► store ─► reconcile ─► xds/translate ─► …
//	               └────────── all of them speak model ──────────┘
//
// It is the one representation that every other package shares; there is no second one between Octavia and Envoy.
// It imports nothing of this project and holds no behaviour beyond decoding, look-ups, one order and copies.
//
// The JSON names are those of octavia_lib/api/drivers/data_models.py, so that an answer of the driver-agent's get.sock,
// the body of a provider call and a hand-written YAML file all decode into the same structs. A missing or null attribute
// takes Octavia's default. Octavia's "Unset" is a missing key; see api/wire for how a change keeps it apart from null.
package model
