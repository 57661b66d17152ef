# SPDX-License-Identifier: Apache-2.0
"""The runtimes that can run a model, behind one small protocol; each is imported only when it is chosen."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from inference_src.detections import Detections
from inference_src.errors import ModelError
from inference_src.images import Image
from inference_src.suppression import Suppression


class Detector(Protocol):
    """A loaded model."""

    def detect(self, image: Image, further: bool = False) -> Detections:
        """Find objects in one image. Safe to call from several threads at once.

        Args:
            image: uint8 [height, width, 3] RGB.
            further: Whether anchor indices and the scores of all classes are wanted, too.
        """


_LIBRARIES = {"openvino": "openvino", "openvino-int8": "openvino", "tensorflow": "tensorflow"}
"""Every runtime and the package that it needs, those first whose process is the smallest and starts the soonest."""

Load = Callable[[Path, str, int, Suppression | None], Detector]
"""How a runtime loads: path, precision, how many images are to be detected side by side, the suppression it lacks."""


def available() -> tuple[str, ...]:
    """The runtimes whose library is installed here, found without importing it: a runtime's import takes seconds."""
    return tuple(runtime for runtime, library in _LIBRARIES.items() if find_spec(library) is not None)


def load_detector(
    runtime: str, path: Path, precision: str, parallel: int, suppression: Suppression | None = None
) -> Detector:
    """Load a model with a runtime, so that `parallel` calls of `detect` share the cores, one core each.

    Args:
        runtime: Its name in `model.json`.
        path: Of the model's form for it.
        precision: One of those that `model.json` names for it.
        parallel: How many images are to be detected side by side.
        suppression: Given where `model.json` says that this form ends before suppression.

    Raises:
        ModelError: The runtime is unknown, or cannot load what lies there.
    """
    try:
        return _loader(runtime)(path, precision, parallel, suppression)
    except ModelError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path}: {runtime} cannot load the model ({reason}); export it again") from error


def _loader(runtime: str) -> Load:
    if runtime == "tensorflow":
        from inference_src.runtimes import tensorflow

        return tensorflow.load
    if runtime in ("openvino", "openvino-int8"):  # two files, of which a model may have both
        from inference_src.runtimes import openvino

        return openvino.load
    raise ModelError(f"MAPGATE_RUNTIME={runtime}: this image has {', '.join(available())}")
