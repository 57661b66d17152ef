# SPDX-License-Identifier: Apache-2.0
"""Which classes a checkpoint has, by what lies beside it: `label_map.pbtxt`, and `pipeline.config` for their count.

Archives of ours and the weights that the image carries have both. Those of the detection zoo have a config alone, and
90 classes: COCO's, whose names are no part of them.
"""

from pathlib import Path

from training_src.data.label_map import LabelMap, read_label_map
from training_src.errors import DataError, TextFormatError
from training_src.models.checkpoints.by_class import Classes
from training_src.models.checkpoints.files import beside
from training_src.models.config.ssd import Ssd
from training_src.models.detector import Detector
from training_src.models.faster_rcnn import FasterRcnnDetector
from training_src.models.ssd import SsdDetector
from training_src.text_format import Message, decoded, parse

# Ids and names of https://cocodataset.org, with the gaps that the API's mscoco_label_map.pbtxt has.
COCO = Path(__file__).with_name("coco_label_map.pbtxt")
COCO_COUNT = 90


def model_classes(detector: Detector, label_map: LabelMap) -> Classes:
    """The classes of a detector that is to be trained."""
    assert isinstance(detector, SsdDetector | FasterRcnnDetector)  # there is no other
    return Classes(label_map.names, detector.num_classes, _has_background(detector))


def checkpoint_classes(prefix: str, model: Classes) -> Classes | None:
    """The classes of a checkpoint; None where nothing beside it tells them.

    Args:
        prefix: The checkpoint's path without `.index`.
        model: The detector's, whose background is taken for the checkpoint's where no config lies beside it.
    """
    label_map, configured = _label_map(prefix), _configured(prefix)
    count, background = configured or (label_map.greatest_id if label_map else COCO_COUNT, model.background)
    if label_map is None and count == COCO_COUNT:
        label_map = read_label_map(COCO)
    if label_map is None or label_map.greatest_id > count:
        return None
    return Classes(label_map.names, count, background)


def is_of_the_zoo(prefix: str) -> bool:
    """Whether a checkpoint is one of the detection zoo's: of COCO's 90 classes, and without a label map beside it."""
    configured = _configured(prefix)
    return configured is not None and configured[0] == COCO_COUNT and beside(prefix, "label_map.pbtxt") is None


def _has_background(detector: SsdDetector | FasterRcnnDetector) -> bool:
    return detector.config.add_background_class if isinstance(detector.config, Ssd) else True


def _label_map(prefix: str) -> LabelMap | None:
    file = beside(prefix, "label_map.pbtxt")
    try:
        return read_label_map(file) if file else None
    except DataError as error:
        print(f"attention     the checkpoint's classes are not known: {error}", flush=True)
        return None


def _configured(prefix: str) -> tuple[int, bool] | None:
    """The count of classes, and whether the background has a column, by a config of which nothing else is asked."""
    file = beside(prefix, "pipeline.config")
    try:
        model = _first(parse(decoded(file.read_bytes())), "model") if file else None
    except (OSError, ValueError, TextFormatError):
        return None
    for family in ("ssd", "faster_rcnn"):
        chosen = _first(model, family) if model is not None else None
        count = chosen.get("num_classes", [0])[-1] if chosen is not None else 0
        if chosen is not None and isinstance(count, int) and count > 0:
            return count, bool(chosen.get("add_background_class", [True])[-1])
    return None


def _first(message: Message, name: str) -> Message | None:
    found = message.get(name, [None])[0]
    return found if isinstance(found, Message) else None
