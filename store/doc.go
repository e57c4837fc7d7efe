// Package store keeps what the controller must not forget, in SQLite (embedded, one controller), MariaDB or MySQL, or
// PostgreSQL (any number of controllers): gorm for the rows, goose for the versioned schema in migrations/.
//
//	api ──AddIntent──► store ◄──Intents, SaveTree, Finish── driver/reconcile
//	                   store ◄──Outbox, OutboxSent───────── driver/status (Sender)
//
// # DSN
//
//	sqlite:/var/lib/octavia-envoy/store.db
//	mysql://user:password@host:3306/database?ssl_ca=/etc/ssl/ca.pem       also: ?unix_socket=/run/mysqld/mysqld.sock
//	postgres://user:password@host:5432/database?sslmode=verify-full
//
// The SQLite file must be on a local file system (WAL needs shared memory) in a directory that exists; it gets mode 0600
// and, next to it, -wal and -shm files, and a .lock file that keeps two programs from migrating at once.
//
// # Tables
//
//	table           key                holds                                      rows go
//	load_balancers  id                 tree (JSON of model.LoadBalancer),         Finish{Deleted}
//	                                   revision, states, last error, retry_at
//	objects         kind, id           the load balancer of each object           SaveTree, Finish{Deleted}
//	intents         id (counter)       accepted calls that are not finished       Finish
//	outbox          id (counter)       statuses that Octavia has yet to be told   OutboxSent
//	audit           id (counter)       who did what, and what came of it          PruneAudit
//	amphorae        id                 each Envoy with its agent                  DeleteAmphora, Finish{Deleted}
//	amphora_health  amphora_id         what an amphora said last of members       DeleteAmphora, Finish{Deleted}
//	reported_       loadbalancer_id    how Octavia was told objects operate,      Finish{Deleted}
//	  statuses                         and when to see whether that still holds
//	vip_ports       loadbalancer_id    Neutron ports that the controller made     DeleteVIPPort
//	secrets         loadbalancer_id    what certificates need, sealed             SaveTree, Finish{Deleted}
//	ocsp_responses  fingerprint        what responders said last                  KeepOCSPResponses
//	leases          loadbalancer_id    which replica works on it, until when      ReleaseLease
//	sending_leases   loadbalancer_id    which replica sends its messages, until when   ReleaseSending
//	schema_migrations                  goose's notes                              never
//
// # Invariants
//
//   - A method that changes something has committed when it returns nil. An accepted call is a promise to Octavia, which
//     forgets it: SQLite runs with synchronous=FULL, as a power cut must not break the promise either.
//   - Every intent has its load balancer's row (a foreign key says so), because LoadBalancersWithWork joins
//     the rows: an intent without one would never be worked on. Finish{Deleted} keeps the row while intents remain.
//   - AddIntent, SaveTree and Finish lock the load balancer's row first. That is what orders them, whatever the
//     database and the clocks: ids of one load balancer's intents and messages rise in the order of commits, and
//     HasNewerIntent is exact.
//   - Ids of intents, messages and entries are never used again, even when the newest row is gone (AUTOINCREMENT in
//     SQLite): a Finish that comes late must not hit a younger intent.
//   - The intents that are done, the status for Octavia and the new state are one transaction. A crash before it repeats
//     work, which is harmless; a crash after it cannot lose the status.
//   - Of each load balancer at most one message is on its way, the oldest, even while it waits after a failure: ACTIVE
//     must not follow DELETED.
//   - reported_statuses says what Octavia knows once the outbox is sent: it is written with each message, in the same
//     transaction. What may not have arrived after all (Told, OutboxDropped) is taken out, and so said again.
//   - Of Settle's messages, which end no lock of Octavia's, at most one a load balancer is in the outbox.
//   - PutAmphoraHealth and Finish note in the same transaction that the load balancer is to be settled: no change of health
//     is lost to a crash, and any replica may take it up.
//   - The outbox and the audit trail refer to no other table: they outlive the load balancer.
//   - The index is exactly the objects of the stored tree, changed in the same transaction by the difference, so that
//     one member of 10,000 costs one row.
//   - The revision changes when the tree's JSON does and only then; resyncs that find nothing new push nothing.
//   - Private keys are only in secrets, encrypted with a key that is not in the database (package seal): trees are stored
//     as model encodes them, and model encodes a certificate as its id. Tree and secrets change in one transaction.
//   - A tree is decoded once: it is kept with the text and the sealed secrets that it was decoded from, up to 64 MiB of
//     them, and given out again while the rows, read anew each time, say the very same. So neither another controller nor a
//     restored backup can make it wrong. What is kept is read only, see LoadBalancer.Tree. So are the statuses that were
//     reported, if there are many.
//   - SQLite writes a row as a whole, and the tree is in the load balancer's: what need not change it does not, there.
//   - SaveTree and Finish of whoever has lost the lease change nothing (Holding): a controller that stood still for longer than
//     its lease, and goes on, does not undo what another has done since.
//   - Leases go by the database's clock, for it is the one clock that all replicas share. All other times are stamps of
//     Options.Now that order nothing across replicas. All are UTC with microseconds.
//   - Texts from outside (errors, headers) are made to fit before they are written: valid UTF-8, no NUL, no longer than
//     the column. Otherwise one strange byte could keep a load balancer in PENDING forever.
//   - A transaction that lost against another (deadlock, serialization, lock wait, SQLITE_BUSY, a failed certification
//     in Galera) is run again, with growing random pauses, until the context ends or 40 s are over.
package store
