# SPDX-License-Identifier: Apache-2.0
"""SageMaker's runtime endpoint on a loopback port: it hands on what a container gets, and writes it down."""

import base64
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Recorded = dict[str, str | None]

HANDED_ON = {
    "Content-Type": "content_type",
    "Accept": "accept",
    "X-Amzn-SageMaker-Custom-Attributes": "custom_attributes",
}
"""Of a client's headers those that reach the container, and what recordings call them."""


def invoke(port: int, request: Recorded) -> tuple[int, dict[str, str], bytes]:
    """Send a recorded request to a container's port, and give status, headers by small names, and body."""
    body = base64.b64decode(request["body"] or "")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {name: value for name, key in HANDED_ON.items() if (value := request[key]) is not None}
    connection.request("POST", "/invocations", body, headers)
    response = connection.getresponse()
    answer = response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()
    connection.close()
    return answer


@contextmanager
def runtime_endpoint(port: int) -> Iterator[tuple[str, list[Recorded]]]:
    """Listen for `InvokeEndpoint`, and ask the container on a port.

    Yields:
        The address, and the requests so far.
    """
    recorded: list[Recorded] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/endpoints/street/invocations"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request: Recorded = {key: self.headers[name] for name, key in HANDED_ON.items()}
            request["body"] = base64.b64encode(body).decode()
            recorded.append(request)
            status, headers, answer = invoke(port, request)
            self.send_response(status)
            for name in ("Content-Type", "X-Amzn-SageMaker-Custom-Attributes"):
                if name.lower() in headers:
                    self.send_header(name, headers[name.lower()])
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", recorded
        server.shutdown()
