# SPDX-License-Identifier: Apache-2.0
"""`serve`, as SageMaker starts the image: load the model, warm it up, listen, and drain when told to stop."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import uvicorn

from containers.contract.cores import cores
from containers.contract.errors import MapgateError
from containers.contract.job import ml_root
from inference_src.app import Service
from inference_src.connections import SWEEP_SECONDS, Connections, every, http_server, raise_descriptor_limit
from inference_src.errors import ModelError
from inference_src.journal import Journal, write_json_lines
from inference_src.model import ModelDescription, choose_runtime, read_description
from inference_src.picture_memory import PictureMemory, most_picture_bytes
from inference_src.protocols import Model
from inference_src.runtimes import Detector, load_detector
from inference_src.settings import Settings

DRAIN_SECONDS = 25
"""SageMaker kills a container 30 s after SIGTERM; what is not answered by then never will be."""
TICK_SECONDS = 1.0

log = logging.getLogger(__name__)


def serve(environment: Mapping[str, str]) -> int:
    """Serve the model under `MAPGATE_ML_ROOT`/model until SIGTERM.

    Nobody listens on the port before the model has answered an image, so an answered `/ping` means a working server.

    Returns:
        The exit code: 0 after SIGTERM, 1 with one sentence on standard error when there is nothing to serve.
    """
    write = write_json_lines()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # while loading; process 1 has no handler of its own
    try:
        settings = Settings.read(environment)
        service = _load(ml_root() / "model", environment, settings, Journal(settings.metrics_namespace, write))
        asyncio.run(_listen(service, settings))
    except MapgateError as error:
        log.error("%s", error)
        return 1
    except Exception:
        log.exception("the server ended by a fault of its own")
        return 1
    return 0


def _load(model_dir: Path, environment: Mapping[str, str], settings: Settings, journal: Journal) -> Service:
    started = time.monotonic()
    log.info("loading the model in %s", model_dir)
    description = read_description(model_dir)
    runtime, precision = choose_runtime(model_dir, description, environment)
    parallel = cores()
    form = description.runtimes[runtime]
    detector = load_detector(runtime, model_dir / form.path, precision, parallel, form.suppression)
    _warm_up(detector, description)
    log.info(
        "%s on %s %s is ready after %.1f s, %d images side by side, for %s",
        description.architecture,
        runtime,
        precision,
        time.monotonic() - started,
        parallel,
        "a batch transform" if settings.batch else "an endpoint",
    )
    model = Model(detector, description.classes, PictureMemory(most_picture_bytes(environment)))
    return Service(model, parallel, settings, journal)


def _warm_up(detector: Detector, description: ModelDescription) -> None:
    image = np.zeros((description.input.height, description.input.width, 3), np.uint8)
    try:
        found = detector.detect(image)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"the model was loaded but cannot answer an image ({reason}); export it again") from error
    length = len(found.scores)
    if found.boxes.shape != (length, 4) or found.classes.shape != (length,) or not 0 <= found.count <= length:
        raise ModelError("the model was loaded but its outputs have other shapes than it promises; export it again")
    if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
        raise ModelError(
            "the model was loaded but answers a black image with numbers that are not finite; train it again"
        )


async def _listen(service: Service, settings: Settings) -> None:
    connections = Connections(settings, raise_descriptor_limit())
    server = http_server(service, connections, DRAIN_SECONDS)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server)
    beside = [
        loop.create_task(every(SWEEP_SECONDS, connections.sweep)),
        loop.create_task(every(TICK_SECONDS, service.tick)),
    ]
    with _bound(settings.host, settings.port) as listening:
        await server.serve([listening])
    for task in beside:
        task.cancel()
    service.close()


def _stop(server: uvicorn.Server) -> None:
    log.info("stopping: no new requests, those at work are answered")
    server.should_exit = True


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is named does asyncio switch Nagle's algorithm off, which would hold an answer for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise MapgateError(f"{host}:{port}: cannot listen ({error}); give another port") from error
    return listening
