#!/usr/bin/env python3
"""probe.py HOST: asks http://HOST/ every few milliseconds until it answers 200.

Prints the status of the first answer, then the time.monotonic() of the first 200.
"""

import http.client
import sys
import time

host = sys.argv[1]
first = True
while True:
    try:
        connection = http.client.HTTPConnection(host, timeout=1)
        connection.request("GET", "/")
        status = connection.getresponse().status
        answered = time.monotonic()
        connection.close()
    except OSError:
        status = 0
    if first:
        print(status, flush=True)
        first = False
    if status == 200:
        print(answered)
        break
    time.sleep(0.002)
