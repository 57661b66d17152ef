# SPDX-License-Identifier: Apache-2.0
"""`serve`, as SageMaker starts the image: load the model, warm it up, listen, and drain when told to stop."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette

from containers.contract.errors import BadInputError, MapgateError
from containers.contract.job import ml_root
from inference_src.app import create_app
from inference_src.errors import ModelError
from inference_src.model import ModelDescription, choose_runtime, read_description
from inference_src.runtimes import Detector, load_detector

DRAIN_SECONDS = 25
"""SageMaker kills a container 30 s after SIGTERM; what is not answered by then never will be."""

log = logging.getLogger(__name__)


def serve(environment: Mapping[str, str]) -> int:
    """Serve the model under `MAPGATE_ML_ROOT`/model until SIGTERM.

    Nobody listens on the port before the model has answered an image, so an answered `/ping` means a working server.

    Returns:
        The exit code: 0 after SIGTERM, 1 with one sentence on standard error when there is nothing to serve.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # while loading; process 1 has no handler of its own
    try:
        host, port = environment.get("MAPGATE_BIND_HOST") or "0.0.0.0", _port(environment)  # noqa: S104
        model_dir = ml_root() / "model"
        app = _load(model_dir, environment)
        asyncio.run(_listen(app, host, port))
    except MapgateError as error:
        log.error("%s", error)
        return 1
    return 0


def _port(environment: Mapping[str, str]) -> int:
    text = environment.get("SAGEMAKER_BIND_TO_PORT") or "8080"
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**16):
        raise BadInputError(f"SAGEMAKER_BIND_TO_PORT={text}: give a port from 1 to 65535")
    return int(text)


def _load(model_dir: Path, environment: Mapping[str, str]) -> Starlette:
    started = time.monotonic()
    log.info("loading the model in %s", model_dir)
    description = read_description(model_dir)
    runtime, precision = choose_runtime(model_dir, description, environment)
    parallel = _cores()
    form = description.runtimes[runtime]
    detector = load_detector(runtime, model_dir / form.path, precision, parallel, form.suppression)
    _warm_up(detector, description)
    log.info(
        "%s on %s %s is ready after %.1f s, %d images side by side",
        description.architecture,
        runtime,
        precision,
        time.monotonic() - started,
        parallel,
    )
    return create_app(detector, description.classes, parallel)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


async def _listen(app: Starlette, host: str, port: int) -> None:
    server = Server(app, address=host, port=port, interface=Interfaces.ASGI, websockets=False, log_enabled=False)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = loop.create_task(server.serve())
    stopping = loop.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        raise MapgateError(f"{host}:{port}: cannot listen ({serving.exception()}); give another port")
    log.info("stopping: no new requests, those at work are answered")
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait([serving], timeout=DRAIN_SECONDS)
