// Package amphora gives load balancers something to run on: it builds amphorae, keeps them, knows how they are, and takes
// them away without a trace.
//
//	reconcile ─► Manager.Ensure ─► Network.Plug ─► Compute.Build ─► (agent dials) ─► Fleet.WaitConnected
//	             Manager.Delete ─► Compute.Delete ─► Network.Unplug ─► row
//	             Manager.Watch  ─► what died is started again
//	publish   ─► Fleet.Warm     ─► probe of the amphora's Envoy
//
// The row of an amphora is written before anything of it exists and deleted after everything is gone, so that a controller
// that is killed in between finds out what to finish. Each step may be repeated.
package amphora
