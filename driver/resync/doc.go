// Package resync finds what Octavia waits for and nobody works on, and what the store and Octavia do not both have.
//
//	Octavia's REST API ─► Round ─► store.AddIntent ─► the reconciler, as if a call had come
//
// Every accepted call is a committed intent, so in theory there is nothing to find. In practice an API process dies
// between its commit and its call, a database is restored, a message to Octavia is lost with a disk. Octavia gives nobody
// the means to end a PENDING by hand; this does.
//
// A round only adds intents. It cannot do harm by being wrong about one: the reconciler reads the truth from Octavia.
package resync
