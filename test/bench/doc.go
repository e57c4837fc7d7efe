// Package bench measures what a change, a load balancer and a request cost, against the alternatives:
//
//	make bench                # everything; BENCH='Change|Fleet' runs some
//
// The controller under test is a process of its own (this test's binary, started again) that is wired of the real parts as
// `octavia-envoy serve` is: API, store, reconcile, translate, publish, xds/server, status. Around it are a driver-agent that
// answers at once, and Envoys, real ones and fake ones. So its CPU time and memory are the kernel's account of one process.
//
//	calls ─► API ─► store ─► reconcile ─► translate ─► publish ─► xds/server ─► Envoy, fake or real
//	                            │ ▲
//	                            ▼ │ get.sock, status.sock
//	                        driver-agent, fake: its part of a change is no cost of ours
//
// What is compared runs in turns, and the ratio is the median over the turns: a machine that is busy with other things makes
// both slower alike. How far the ratio of "the same twice" is from 1 is how far the others are to be trusted. README.md has the
// results and what they mean.
package bench
