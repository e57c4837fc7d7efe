// Package reconcile turns accepted provider calls into what the amphorae serve, one load balancer at a time.
//
//	store.Intents ─► commit barrier ─► get.sock: the tree ─► status.Plan ─► amphora.Ensure ─► translate ─► publish ─► store.Finish
//	                                                                                                       (outbox ─► status.Sender)
//
// It is level-triggered: an intent says that something changed, the tree that is read from Octavia says what. So an
// attempt may stop anywhere, by an error or by kill -9, and the next one starts over from the same intents.
//
// The store's tree is the last one that was published: a controller that starts gives its xDS caches that tree, and so
// pushes nothing to amphorae that already have it. What is on the way comes from the unfinished intents.
//
// # Fairness
//
// Whatever one project does, another's change begins as soon as its intent is seen: of Options.Parallel turns a project is
// given one only while it has fewer than are free (package fair). That holds for up to five projects that each have more work
// than turns (with 32 turns: they get 16, 8, 4, 2 and 1), for work of any length, an attempt at a dead amphora being the longest
// with attemptTimeout. When six are busy, the next waits until one of their attempts ends, and then comes first.
//
// From there on it shares the machine: it waits for no more than one transaction of each load balancer that writes at that
// moment (on SQLite, which has one writer; elsewhere for none), and for its share of the CPU. A load balancer's changes are made
// one at a time, so beside a large one whose tenant changes it all the time another's change takes no longer than alone and
// one change of the large one together, on two cores or more. BenchmarkFair in test/bench prints that bound beside what it
// measures: with 10,000 members and a change a second half of the others' changes take as long as alone, and 99 of 100 a quarter
// of the bound. Statuses go by the same rule, in parts (status.Sender). Not bounded by project are the turns of health, of one
// load balancer each (8), and of statistics, of one amphora each (4), which are all short.
//
// # Replicas
//
// A load balancer is worked on by who has its lease. One that has lost it writes nothing (store.Holding): a process that stood
// still for longer than its lease cannot undo what another has done.
package reconcile
