"""A real OpenStack control plane on one machine, for the demo and the end-to-end tests.

Keystone, Barbican, Neutron, Octavia's API and its driver-agent from PyPI, MariaDB from Debian, and our controller. No
message queue, no agents, no virtual machines: members, clients and amphorae are network namespaces on Linux bridges.

Only the standard library is used here, so that `cloud` runs before anything is installed. The modules, in the order in
which `cloud up` needs them: checks, install, build, configure, database, services, identity, lab.
"""
