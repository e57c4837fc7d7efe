// Package agentapiv1 is the protocol between an amphora's agent and the controller, version 1. The agent dials; nothing on
// the amphora listens.
//
//	agent ── Connect: Hello, then Heartbeat every few seconds, ProbeResult when asked ──► controller
//	      ◄── Instruction: Acknowledge, Probe, Drain, Shutdown ──
//	      ── RenewCertificate: a signing request for a new key ──► a certificate with the name of the connection
package agentapiv1

//go:generate protoc --proto_path=. --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative agent.proto
