#!/usr/bin/env python3
"""serve.py SERVICE HOST PORT [ARGUMENT...]: runs one OpenStack WSGI application under waitress.

Runs in the virtual environment. Neutron and Octavia parse sys.argv while they are imported, so it must hold their
arguments and no others; Barbican's own entry point looks for its paste file in /etc/barbican only.
"""

import importlib
import os
import sys

import waitress

service, host, port = sys.argv[1:4]
sys.argv = [f"{service}-api", *sys.argv[4:]]
if service == "barbican":
    from paste import deploy

    application = deploy.loadapp("config:" + os.environ["BARBICAN_PASTE"])
else:
    module = {"keystone": "keystone.wsgi.api", "neutron": "neutron.wsgi.api", "octavia": "octavia.wsgi.api"}[service]
    application = importlib.import_module(module).application
waitress.serve(application, host=host, port=int(port), threads=8, ident=service, channel_timeout=120)
