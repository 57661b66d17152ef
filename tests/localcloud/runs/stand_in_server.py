# SPDX-License-Identifier: Apache-2.0
"""The server of the stand-in image."""

from __future__ import annotations

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

ROOT = Path(os.environ["MAPGATE_ML_ROOT"])


class Handler(BaseHTTPRequestHandler):
    """/ping, and /invocations that answers what it was asked with, or the status that the body names."""

    asked: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:  # http.server's name
        if self.path != "/execution-parameters":
            self.answer(200, b"")
            return
        parameters = os.environ.get("EXECUTION_PARAMETERS", "").encode()
        self.answer(200 if parameters else 404, parameters)

    def do_POST(self) -> None:  # http.server's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if os.environ.get("FAILING"):
            self.answer(500, b'{"error": "this model fails"}')
            return
        if body.startswith(b"status "):
            self.answer(int(body.split()[1]), b'{"error": "as you wished"}')
            return
        if body.startswith(b"at first "):
            self.asked.append(body)
            if self.asked.count(body) == 1:
                self.answer(int(body.split()[2]), b'{"error": "not yet"}')
                return
        time.sleep(float(os.environ.get("PAUSE", "0")))
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
    print("environment", json.dumps(dict(os.environ)), flush=True)
    host, port = os.environ["MAPGATE_BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    ThreadingHTTPServer((host, port), Handler).serve_forever()
