# SPDX-License-Identifier: Apache-2.0
"""The server of the stand-in image."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(os.environ["MAPGATE_ML_ROOT"])


class Handler(BaseHTTPRequestHandler):
    """/ping, and /invocations that answers what it was asked with, or the status that the body names."""

    def do_GET(self) -> None:  # http.server's name
        self.answer(200, b"")

    def do_POST(self) -> None:  # http.server's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if os.environ.get("FAILING"):
            self.answer(500, b'{"error": "this model fails"}')
            return
        if body.startswith(b"status "):
            self.answer(int(body.split()[1]), b'{"error": "as you wished"}')
            return
        if body == b"die":
            os._exit(1)
        model = (ROOT / "model" / "weights").read_text()
        told = {
            "model": model,
            "content_type": self.headers["Content-Type"],
            "accept": self.headers["Accept"],
            "attributes": self.headers["X-Amzn-SageMaker-Custom-Attributes"],
            "bytes": body.hex(),
            "greeting": os.environ.get("GREETING"),
        }
        self.answer(200, json.dumps(told).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "trace")
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    host, port = os.environ["MAPGATE_BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    ThreadingHTTPServer((host, port), Handler).serve_forever()
