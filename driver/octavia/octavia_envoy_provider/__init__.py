"""Octavia's provider driver for Envoy: a shim that turns each call into one HTTP request to the controller.

octavia-api ─► driver.EnvoyProviderDriver ─► payload ─► client ─► the octavia-envoy controller
                                              errors ◄─ client ◄─

The shim decides nothing and remembers nothing. What is supported, what a call means and what becomes of it is the
controller's business; a call that the controller has accepted is committed there before the shim returns.
"""
