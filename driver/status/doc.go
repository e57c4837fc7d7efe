// Package status is this project's side of the driver-agent's sockets: it reads load balancers from Octavia and reports
// how they fare.
//
//	get.sock    ─► Agent.LoadBalancer ─► NewPlan(tree, intents) ─► what to publish
//	                                        │
//	status.sock ◄─ Agent.Update ◄─ Sender ◄─ outbox ◄─ Report(plan, rejected, health) or Failed(plan)
//	                                          ▲
//	               driver/health ─► Difference(tree, health), when an amphora says something new
//
// Plan, Report, Failed, and Operating, by which all of them say how objects operate, are pure. Agent speaks the protocol and keeps
// no state but what the last answers said of large load balancers, so as not to decode it again. Sender drains the store's outbox, so
// that a status survives the process and an absent driver-agent.
//
// The Sender's places are shared among projects (package fair): one has at most half of the 16, and gives a place up after each
// part of a message, which is a hundred records at most. So a status waits for the parts that are on their way, and no longer,
// while fewer than five projects have more to say than they have places. Messages of load balancers that are gone count as one
// project. Of several replicas one sends for a load balancer at a time, by a lease in the store. What that cannot exclude: a
// process that stands still for 90 s between the check of its lease and the write to the socket sends one part late.
//
// Four facts of the driver-agent shape it (octavia/api/drivers/driver_agent, Octavia 19):
//
//   - A provider call runs inside the API's database transaction. A status that arrives before that transaction has
//     ended is overwritten or refused: hence Agent.Barrier.
//   - The agent does not guard anything: ACTIVE after DELETED resurrects a load balancer, and a child that is not
//     reported DELETED stays listed and keeps its quota.
//   - Each record of a message is a transaction of its own, the load balancer's last. The first failure ends the message,
//     so the load balancer stays locked: hence the Sender's care for single records.
//   - A connection that ends before a whole request has come leaves a process of the agent spinning for ever: hence
//     nothing here connects without sending, and nothing stops half-way through a frame.
package status
