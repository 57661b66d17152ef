# SPDX-License-Identifier: Apache-2.0
"""What no server can exceed: one process that decodes JPEGs and runs OpenVINO on them, without HTTP.

`python -m tests.benchmarks.serving.ceiling MODEL.XML` loads the model as the server does (f32, a stream and a thread
for each core that it may use) and reads lines `PICKLE SECONDS AT_LEAST` from standard input: the file holds the JPEGs.
For each line it goes on for that long, each core with an image of its own: decode with simplejpeg (accurate DCT and
upsampling, as the server), infer, read the outputs. It answers a line of JSON: images, seconds, CPU seconds.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import openvino
import simplejpeg

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


def main() -> None:
    """Load, say that it is ready, and measure for each line."""
    parallel = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": parallel, "INFERENCE_NUM_THREADS": parallel}
    compiled = openvino.Core().compile_model(sys.argv[1], "CPU", settings)
    inference = [compiled.create_infer_request() for _ in range(parallel)]
    print("ready", flush=True)
    for line in sys.stdin:
        file, seconds, at_least = line.split()
        bodies = pickle.loads(Path(file).read_bytes())
        began, cpu = time.perf_counter(), time.process_time()
        go_on = partial(_go_on, bodies, began + float(seconds), -(-int(at_least) // parallel))
        with ThreadPoolExecutor(parallel) as pool:
            images = sum(pool.map(go_on, inference))
        print(json.dumps([images, time.perf_counter() - began, time.process_time() - cpu]), flush=True)


def _go_on(bodies: list[bytes], until: float, at_least: int, request: openvino.InferRequest) -> int:
    count = 0
    while time.perf_counter() < until or count < at_least:
        body = bodies[count % len(bodies)]
        pixels = simplejpeg.decode_jpeg(body, "RGB", fastdct=False, fastupsample=False)
        request.infer({0: pixels[None]}, share_inputs=True)
        for output in OUTPUTS:
            request.get_tensor(output).data.copy()
        count += 1
    return count


if __name__ == "__main__":
    main()
