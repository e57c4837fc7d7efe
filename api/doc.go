// Package api is the HTTP API of the controller: what the provider shim in octavia-api calls, and what operators ask.
//
//	shim ─► decode strictly ─► find the load balancer ─► change a copy of its tree ─► capabilities ─► commit ─► 202
//	        400, 413            404, 503                                               400, 501        503
//
// A call that is answered 202 has been committed as an intent, together with its line of the audit trail; everything
// else happens behind that. A refused call has its line, too. The tree that a call changes here is a copy, to judge the
// call by: what is built is what Octavia's database says once it has committed.
//
//	POST   /v1/vip-ports                                create_vip_port
//	POST   /v1/loadbalancers                            loadbalancer_create
//	PUT    /v1/loadbalancers/{id}                       loadbalancer_update
//	DELETE /v1/loadbalancers/{id}?cascade=true          loadbalancer_delete
//	POST   /v1/loadbalancers/{id}/failover              loadbalancer_failover, loadbalancer_failover_with_flavor
//	POST   /v1/listeners                                listener_create
//	PUT    /v1/listeners/{id}                           listener_update
//	DELETE /v1/listeners/{id}?loadbalancer_id=          listener_delete
//	POST   /v1/pools                                    pool_create
//	PUT    /v1/pools/{id}                               pool_update
//	DELETE /v1/pools/{id}?loadbalancer_id=              pool_delete
//	POST   /v1/pools/{id}/members                       member_create
//	PUT    /v1/pools/{id}/members                       member_batch_update
//	PUT    /v1/pools/{id}/members/{id}                  member_update
//	DELETE /v1/pools/{id}/members/{id}                  member_delete
//	POST   /v1/healthmonitors                           health_monitor_create
//	PUT    /v1/healthmonitors/{id}                      health_monitor_update
//	DELETE /v1/healthmonitors/{id}?pool_id=             health_monitor_delete
//	POST   /v1/l7policies                               l7policy_create
//	PUT    /v1/l7policies/{id}                          l7policy_update
//	DELETE /v1/l7policies/{id}?listener_id=             l7policy_delete
//	POST   /v1/l7policies/{id}/rules                    l7rule_create
//	PUT    /v1/l7policies/{id}/rules/{id}               l7rule_update
//	DELETE /v1/l7policies/{id}/rules/{id}               l7rule_delete
//	GET    /v1/flavor-capabilities                      get_supported_flavor_metadata
//	POST   /v1/flavors/validate                         validate_flavor
//	GET    /v1/availability-zone-capabilities           get_supported_availability_zone_metadata
//	POST   /v1/availability-zones/validate              validate_availability_zone
//	GET    /v1/status, /v1/status/{loadbalancer_id}     operators: load balancers, amphorae, versions
//	GET    /healthz                                     the process is up
//	GET    /readyz                                      it can take calls; else 503 with the reasons
//	GET    /metrics                                     Prometheus
//
// Bodies are the dictionaries of octavia-lib, see package wire. Requests carry X-Openstack-Request-Id, X-Project-Id and
// X-User-Id for the audit trail and the log. Every error is
//
//	{"error": {"code": …, "field": "listeners[0].protocol", "message": for the user, "detail": for the operator}}
//
// with the codes of errors.go.
//
// Whoever may connect to the unix socket may call everything. Over TCP there is only TLS with client certificates of
// the controller's CA ([Listen]); those of the role api may call everything, those of operators may read, those of
// amphorae nothing.
package api
