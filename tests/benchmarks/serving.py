# SPDX-License-Identifier: Apache-2.0
"""The server over HTTP against its runtime alone, and the runtimes against each other."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from inference_src.runtimes import load_detector
from inference_src.server_process import running_server
from tests.benchmarks.ratio import Row, ratio

ARCHITECTURE, SIDE, IMAGES, CLIENTS = "ssd_mobilenet_v2_fpnlite_320x320", 320, 60, 2
RUNTIMES = {"tensorflow": "1", "openvino": "runtimes/openvino/model.xml"}


def run() -> list[Row]:
    """Export an untrained detector and let each runtime answer the same JPEGs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _export(root / "model")
        bodies = _jpegs()
        alone = {name: load_detector(name, root / "model" / path, "f32", CLIENTS) for name, path in RUNTIMES.items()}

        def bare(name: str) -> None:
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(lambda body: alone[name].detect(simplejpeg.decode_jpeg(body)), bodies))

        rows = [
            Row(
                "OpenVINO f32",
                "the SavedModel",
                ratio(lambda: bare("openvino"), lambda: bare("tensorflow")),
                "times as fast",
            )
        ]
        for name in RUNTIMES:
            with running_server(root, {"MAPGATE_RUNTIME": name}) as server, ThreadPoolExecutor(CLIENTS) as pool:
                times = ratio(lambda: list(pool.map(server.ask, bodies)), lambda name=name: bare(name))  # type: ignore[misc]
            rows.append(Row(f"the server on {name}", "decoding and detecting alone", times, "times as fast"))
    return rows


def _export(folder: Path) -> None:
    from training_src.data.label_map import LabelMap
    from training_src.export.artifact import Provenance, write_artifact
    from training_src.models.architectures import build_detector
    from training_src.models.config.pipeline import load_bundled

    folder.mkdir(parents=True)
    description = load_bundled(ARCHITECTURE, 3)
    detector = build_detector(description.config.model)
    provenance = Provenance(ARCHITECTURE, description.text(), "0" * 64, 0, 0, "untrained", 0, [])
    write_artifact(folder, detector, LabelMap({1: "a", 2: "b", 3: "c"}), provenance)


def _jpegs() -> list[bytes]:
    random = np.random.default_rng(3)
    pictures = [cv2.resize(random.integers(0, 255, (20, 20, 3), np.uint8), (SIDE, SIDE)) for _ in range(IMAGES)]
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]
