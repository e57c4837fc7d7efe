"""Servers on real sockets that stand for the controller."""

import dataclasses
import http.server
import json
import socket
import socketserver
import ssl
import threading
import urllib.parse


@dataclasses.dataclass
class Request:
    method: str
    path: str
    query: dict
    headers: dict
    raw: bytes
    peer: dict | None = None

    @property
    def body(self):
        return json.loads(self.raw) if self.raw else None


class _Handler(http.server.BaseHTTPRequestHandler):
    def setup(self):
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def _answer(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urllib.parse.urlsplit(self.path)
        pairs = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
        peer = self.connection.getpeercert() if self.server.tls is not None else None
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.server.requests.append(Request(self.command, url.path, dict(pairs), headers, raw, peer))
        status, content, content_type = self.server.reply
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if status != 204:
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def address_string(self):
        return "client"

    def log_message(self, *_args):
        pass


class _Controller:
    """Records requests and answers them all alike."""

    url: str
    tls = None

    def start(self):
        self.requests: list[Request] = []
        self.answer(202, {"intent": 1, "loadbalancer_id": "lb-1"})
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, status, document=None, *, content=None, content_type="application/json"):
        self.reply = status, json.dumps(document).encode() if content is None else content, content_type

    def error(self, status, code, message="A sentence for the user.", detail="For the operator.", field=""):
        self.answer(status, {"error": {"code": code, "field": field, "message": message, "detail": detail}})

    @property
    def only(self):
        assert len(self.requests) == 1, self.requests
        return self.requests[0]

    def __exit__(self, *_args):
        self.shutdown()
        self._thread.join()
        self.server_close()


class UnixController(_Controller, socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    def __init__(self, path):
        super().__init__(str(path), _Handler)
        self.url = f"unix://{path}"
        self.start()


class TLSController(_Controller, socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Speaks TLS and wants a client certificate that ``ca_file`` signed."""

    def __init__(self, cert_file, key_file, ca_file):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert_file, key_file)
        self.tls.load_verify_locations(ca_file)
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.refusals = []
        self.port = self.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.start()

    def handle_error(self, *_args):
        import sys

        self.refusals.append(sys.exc_info()[1])


class RawServer:
    """Accepts connections and hands each to ``talk(connection)``; ``talk`` may break any rule of HTTP."""

    def __init__(self, path, talk):
        self.url = f"unix://{path}"
        self._talk = talk
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self.accepted = 0
        self.errors = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if self._closing:
                    return
                self.accepted += 1
                try:
                    self._talk(connection)
                except OSError as exc:
                    self.errors.append(exc)

    _closing = False

    def close(self):
        self._closing = True
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self.url.removeprefix("unix://"))
        self._thread.join()
        self._socket.close()


def read_request(connection):
    """Read the head of a request, and its body if it says how long that is."""
    stream = connection.makefile("rb")
    length = 0
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    stream.read(length)
