# SPDX-License-Identifier: Apache-2.0
"""The server process: patches, parts, state, then answering on the loopback port until SIGTERM."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from localcloud import (
    access_logs,
    clients,
    clock,
    dispatch,
    faults,
    layers,
    moto_patches,
    persistence,
    refusals,
    signing,
)
from localcloud.alarms import actions as alarms
from localcloud.authorisation import enforcement, policy_refusals
from localcloud.cloudformation import actions as cloudformation
from localcloud.cloudformation import custom_resources
from localcloud.context import CloudContext
from localcloud.endpoints import actions as endpoints
from localcloud.events import event_bridge, notifications, schedules
from localcloud.executions import actions as executions
from localcloud.functions import actions as functions
from localcloud.functions import event_sources
from localcloud.home import Home
from localcloud.jobs import actions as jobs
from localcloud.models import actions as models
from localcloud.quotas import actions as quotas
from localcloud.registry import actions as registry

log = logging.getLogger(__name__)

HOME_SECONDS = 2.0
"""How often the cloud looks whether its state is still there."""

PARTS: tuple[ModuleType, ...] = (
    persistence,
    enforcement,
    policy_refusals,
    refusals,
    cloudformation,
    functions,
    event_bridge,
    schedules,
    event_sources,
    notifications,
    access_logs,
    layers,
    registry,
    models,
    signing,
    executions,
    endpoints,
    jobs,
    quotas,
    alarms,
)
"""Modules with `install(context)`, or `resume(context)`, run once state is back."""


def serve(context: CloudContext) -> None:
    """Answer requests on `127.0.0.1:port` until SIGTERM or SIGINT.

    Raises:
        SystemExit: The port is taken.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    warnings.filterwarnings("ignore", module="moto")
    moto_patches.install()
    dispatch.install()
    clients.use_endpoint(context.endpoint_url)
    for part in PARTS:
        if hasattr(part, "install"):
            part.install(context)
    application = _Application(context)
    server = make_server("127.0.0.1", context.port, application, threaded=True, request_handler=_Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=_resume, args=(context,), daemon=True).start()
    threading.Thread(target=_end_without_home, args=(context,), daemon=True).start()
    server.serve_forever()
    persistence.flush()
    logging.shutdown()
    os._exit(0)  # runs that are under way end with this process, and are taken up by the next one


def _resume(context: CloudContext) -> None:
    for part in PARTS:
        if not hasattr(part, "resume"):
            continue
        try:
            part.resume(context)
        except Exception:
            log.exception("%s could not resume", part.__name__)


def _end_without_home(context: CloudContext) -> None:
    """A cloud whose state somebody has removed, with `git clean` perhaps, has nothing left to be."""
    version = Home(context.home).state / persistence.VERSION
    while version.exists():
        time.sleep(HOME_SECONDS)
    log.error("%s is gone: the cloud ends", context.home)
    os._exit(1)


class _Application:
    """moto's dispatcher, and in front of it `/mapgate`, by which `cloud.status` knows its own."""

    def __init__(self, context: CloudContext) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._about = json.dumps({"home": str(context.home), "pid": os.getpid()}).encode()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("PATH_INFO") == "/mapgate":
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(self._about)))])
            return [self._about]
        if environ.get("PATH_INFO", "").startswith(custom_resources.PATH):
            return self._receive(environ, start_response)
        if environ.get("PATH_INFO") in _ORDERS:
            return self._obey(environ, start_response)
        return self._moto(environ, start_response)

    def _obey(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Take an order of a test's: `clock` and `faults` say which."""
        try:
            _ORDERS[environ["PATH_INFO"]](_body(environ))
        except (KeyError, TypeError, ValueError) as error:
            start_response("400 Bad Request", [("Content-Type", "text/plain")])
            return [repr(error).encode()]
        start_response("204 No Content", [])
        return [b""]

    def _receive(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = _body(environ)
        taken = custom_resources.receive(environ["PATH_INFO"].removeprefix(custom_resources.PATH), body)
        start_response("200 OK" if taken else "403 Forbidden", [("Content-Length", "0")])
        return [b""]


_ORDERS: dict[str, Callable[[bytes], None]] = {clock.PATH: clock.receive, faults.PATH: faults.receive}


def _body(environ: dict[str, Any]) -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


class _Handler(MotoRequestHandler):
    """A line per request would drown the log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
