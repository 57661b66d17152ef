# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: the intermediate representation of the same graph, post-processing included, several times faster."""

from functools import cache
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from openvino import CompiledModel, Core, InferRequest, Type
from openvino.frontend import FrontEndManager

from inference_src.detections import ANCHOR_INDICES, FURTHER_OUTPUTS, MULTICLASS_SCORES, OUTPUTS, Detections
from inference_src.errors import ModelError
from inference_src.images import Image

# What the file leaves in floating point; what it says is int8 runs in int8.
PRECISIONS = {"f32": Type.f32, "int8": Type.f32}


class OpenVinoDetector:
    """A compiled model, and as many requests as images may be in it at once."""

    def __init__(self, compiled: CompiledModel, parallel: int) -> None:
        names = {name for output in compiled.outputs for name in output.names}
        self._further = names.issuperset(FURTHER_OUTPUTS)
        self._idle: SimpleQueue[InferRequest] = SimpleQueue()
        for _ in range(parallel):
            self._idle.put(compiled.create_infer_request())

    def detect(self, image: Image, further: bool = False) -> Detections:
        """As `Detector.detect` says."""
        further = further and self._further
        request = self._idle.get()
        try:
            request.infer({0: image[np.newaxis]}, share_inputs=True)
            return Detections(
                boxes=np.array(request.get_tensor("detection_boxes").data[0]),
                scores=np.array(request.get_tensor("detection_scores").data[0]),
                classes=request.get_tensor("detection_classes").data[0].astype(np.int32),
                count=int(request.get_tensor("num_detections").data[0]),
                anchor_indices=request.get_tensor(ANCHOR_INDICES).data[0].astype(np.int32) if further else None,
                multiclass_scores=np.array(request.get_tensor(MULTICLASS_SCORES).data[0]) if further else None,
            )
        finally:
            self._idle.put(request)


def load(path: Path, precision: str, parallel: int) -> OpenVinoDetector:
    """Compile a model for this machine's CPU.

    The precision is always given: left to itself OpenVINO takes bf16 where the CPU has it, and detections change.

    Raises:
        ModelError: The model lacks an output, or the precision is none of this runtime's.
    """
    if precision not in PRECISIONS:
        raise ModelError(f"MAPGATE_PRECISION={precision}: openvino runs {', '.join(PRECISIONS)} here")
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "NUM_STREAMS": parallel,
        "INFERENCE_NUM_THREADS": parallel,
    }
    reader = FrontEndManager().load_by_framework("ir")  # left to itself OpenVINO tries every format that it knows
    compiled = _core().compile_model(reader.convert(reader.load(path)), "CPU", settings)
    missing = set(OUTPUTS) - {name for output in compiled.outputs for name in output.names}
    if missing:
        raise ModelError(f"{path}: the model has no output {', '.join(sorted(missing))}; export it again")
    return OpenVinoDetector(compiled, parallel)


@cache
def _core() -> Core:
    """One for the process: of two, the stack for signal handlers that one has left behind could stay in place."""
    return Core()
