# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: the intermediate representation of the same graph, several times faster.

It ends at detections, or where OpenVINO cannot do what the config asks for, at the boxes and scores before suppression.
"""

from functools import cache
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from openvino import CompiledModel, Core, InferRequest, Shape, Tensor, Type
from openvino.frontend import FrontEndManager

from inference_src.detections import ANCHOR_INDICES, FURTHER_OUTPUTS, MULTICLASS_SCORES, OUTPUTS, Detections
from inference_src.errors import ModelError
from inference_src.images import Image
from inference_src.suppression import Scored, Suppression, suppress

# What the file leaves in floating point; what it says is int8 runs in int8.
PRECISIONS = {"f32": Type.f32, "int8": Type.f32}


BOXES, SCORES, WINDOW, ALL_SCORES = SCORED = ("boxes", "scores", "window", "all_scores")
"""The outputs of a file without suppression, as `training_src/export/openvino_suppression.py` names them."""


class OpenVinoDetector:
    """A compiled model, as many requests as images may be in it at once, and the suppression that it lacks."""

    def __init__(self, compiled: CompiledModel, parallel: int, suppression: Suppression | None = None) -> None:
        names = {name for output in compiled.outputs for name in output.names}
        self._further = names.issuperset(FURTHER_OUTPUTS)
        self._suppression = suppression
        self._nothing = Tensor(Type.u8, Shape([1, 1, 1, 3]))
        self._idle: SimpleQueue[InferRequest] = SimpleQueue()
        for _ in range(parallel):
            self._idle.put(compiled.create_infer_request())

    def detect(self, image: Image, further: bool = False) -> Detections:
        """As `Detector.detect` says."""
        request = self._idle.get()
        try:
            # Neither is copied, but an array that may not be written to, as of a request's bytes: OpenVINO shares none.
            # A request remembers an array that it is given, but not a tensor.
            picture = Tensor(np.require(image, requirements=("C", "W"))[np.newaxis], shared_memory=True)
            request.infer(picture, share_inputs=True, share_outputs=True)
            if self._suppression is not None:
                return _suppressed(self._suppression, request, further)
            return _detections(request, further and self._further)
        finally:
            request.set_input_tensor(self._nothing)  # or the picture stays in memory until the next one comes
            self._idle.put(request)


def _detections(request: InferRequest, further: bool) -> Detections:
    return Detections(
        boxes=np.array(request.get_tensor("detection_boxes").data[0]),
        scores=np.array(request.get_tensor("detection_scores").data[0]),
        classes=request.get_tensor("detection_classes").data[0].astype(np.int32),
        count=int(request.get_tensor("num_detections").data[0]),
        anchor_indices=request.get_tensor(ANCHOR_INDICES).data[0].astype(np.int32) if further else None,
        multiclass_scores=np.array(request.get_tensor(MULTICLASS_SCORES).data[0]) if further else None,
    )


def _suppressed(suppression: Suppression, request: InferRequest, further: bool) -> Detections:
    boxes, scores, window = (request.get_tensor(name).data for name in (BOXES, SCORES, WINDOW))
    scored = Scored(boxes, scores[0].T, window[0])
    return suppress(suppression, scored, request.get_tensor(ALL_SCORES).data[0] if further else None)


def load(path: Path, precision: str, parallel: int, suppression: Suppression | None = None) -> OpenVinoDetector:
    """Compile a model for this machine's CPU.

    The precision is always given: left to itself OpenVINO takes bf16 where the CPU has it, and detections change.

    Args:
        path: The .xml file.
        precision: One of `PRECISIONS`.
        parallel: How many images are to be detected side by side.
        suppression: What `model.json` says is to be done with the boxes and scores at which the file ends.

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
    needed = OUTPUTS if suppression is None else SCORED
    missing = set(needed) - {name for output in compiled.outputs for name in output.names}
    if missing:
        raise ModelError(f"{path}: the model has no output {', '.join(sorted(missing))}; export it again")
    return OpenVinoDetector(compiled, parallel, suppression)


@cache
def _core() -> Core:
    """One for the process: of two, the stack for signal handlers that one has left behind could stay in place."""
    return Core()
