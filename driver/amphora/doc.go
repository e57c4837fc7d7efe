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
//
// Agent and Envoy each dial for themselves. With several controllers behind one address they may come to different ones, and
// then none of these can do anything with the amphora: the one with the agent waits for the Envoy, the other one takes the
// amphora for connected elsewhere. An agent says with each heartbeat whether its Envoy is connected to a controller; the Fleet
// whose controller has had no stream of that Envoy for DefaultApartAfter meanwhile ends the agent's, which dials again at once,
// until it comes to where its Envoy is. Each time in vain the patience doubles, to two minutes at most. Envoy keeps its stream. All
// of it is in apart.go.
package amphora
