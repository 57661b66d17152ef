# SPDX-License-Identifier: Apache-2.0
"""From a config to the detector that it describes."""

from training_src.models.config.pipeline import Model
from training_src.models.detector import Detector
from training_src.models.faster_rcnn import FasterRcnnDetector
from training_src.models.ssd import SsdDetector


def build_detector(model: Model) -> Detector:
    """The detector that a config describes, its weights freshly drawn.

    Raises:
        ConfigError: If parts of the config contradict each other.
    """
    if model.ssd is not None:
        return SsdDetector(model.ssd)
    assert model.faster_rcnn is not None  # the config holds exactly one
    return FasterRcnnDetector(model.faster_rcnn)
