# SPDX-License-Identifier: Apache-2.0
"""Training that begins on smaller images: most is learnt from them, in less than half of the time a step.

"Progressive resizing" in fast.ai, "progressive image resizing" in MosaicML's Composer. The weights are the same
throughout, convolutions' being of no size; anchors keep theirs in pixels.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from training_src.errors import ConfigurationError
from training_src.models.config.image_resizer import ImageResizer, resized_shape
from training_src.models.config.training import TrainConfig
from training_src.models.detector import Detector
from training_src.models.errors import ConfigError
from training_src.models.ssd import SsdDetector
from training_src.models.zoo import zoo_model
from training_src.training.input_pipeline import Batch, training_batches
from training_src.training.records import Records
from training_src.training.step import TrainingStep

# Of each side, rounded down so that backbones and pyramids can halve it as often as they do.
SCALE = 0.6
BACKBONES_HALVINGS = 5
# Pixels: a class half of whose boxes are narrower is hardly seen. Platelets of 7 pixels were found less often for it,
# pedestrians of 14 were not.
LEAST_SIDE = 8.0
SAMPLE = 1000


def smaller(detector: Detector) -> SsdDetector:
    """The same detector, with the same variables, for images of at most 0.6 of the height and width.

    Raises:
        ConfigurationError: If it is no single-shot detector, its images differ in size, or it needs more pixels.
    """
    if not isinstance(detector, SsdDetector) or detector.input_size is None:
        raise ConfigurationError(
            "progressive_resizing is for single-shot detectors whose images are all resized to one size; set it to 0."
        )
    try:
        return detector.resized(_smaller_resizer(detector))
    except ConfigError as error:
        raise ConfigurationError(f"progressive_resizing: {error}; set it to 0.") from error


def measured_part(architecture: str, detector: Detector, records: Records) -> float:
    """The part of a training from scratch that was measured to learn as well from smaller images; 0 for none.

    Args:
        architecture: A bundled one.
        detector: Built after its config.
        records: The training images; where a class would become too small, the part is 0.

    Raises:
        ConfigError: If there is no such architecture.
    """
    part = zoo_model(architecture).progressive_resizing
    if not part:
        return 0.0
    assert isinstance(detector, SsdDetector)  # no other kind has a part
    size = resized_shape(_smaller_resizer(detector))
    assert size is not None  # nor one whose images differ in size
    sides: dict[int, list[float]] = defaultdict(list)
    for index in range(0, len(records), -(-len(records) // SAMPLE)):
        example = records[index]
        for label, (top, left, bottom, right) in zip(example.labels, example.boxes, strict=True):
            sides[int(label)].append(math.sqrt(max((bottom - top) * (right - left), 0.0) * size[0] * size[1]))
    return part if all(statistics.median(each) >= LEAST_SIDE for each in sides.values()) else 0.0


def small_steps(config: TrainConfig, part: float) -> int:
    """How many steps learn from smaller images where this part of all of them should."""
    return round(config.num_steps * part)


def batches_by_size(
    step: TrainingStep,
    detector: Detector,
    config: TrainConfig,
    records: Records,
    *,
    part: float,
    seed: int,
    first_step: int = 0,
    instance: int = 0,
    instances: int = 1,
) -> Iterator[tuple[TrainingStep, Batch]]:
    """The batches from a step to the last one, each with the step for its size; they share all that they change.

    Args:
        step: For the detector's own size.
        detector: That is trained.
        config: Batch size, augmentation, number of steps.
        records: The training images.
        part: Of the steps, from the first one, that learn from smaller images.
        seed: Decides order and augmentation.
        first_step: Steps that are already done.
        instance: Which part of each batch is wanted, counted from 0.
        instances: How many parts a batch has; `config.batch_size` is that of one.

    Raises:
        ConfigurationError: As `smaller` and `training_batches` do.
    """
    begin = small_steps(config, part)
    if first_step < begin:
        small = smaller(detector)
        small_step = step.of(small)
        for batch in training_batches(
            records, config, small.resizer, seed, first_step, instance, instances, last_step=begin
        ):
            yield small_step, Batch(*batch)
    first_step = max(first_step, begin)
    for batch in training_batches(
        records, config, detector.resizer, seed, first_step, instance, instances, last_step=config.num_steps
    ):
        yield step, Batch(*batch)


def _smaller_resizer(detector: SsdDetector) -> ImageResizer:
    resizer, bifpn = detector.resizer, detector.config.feature_extractor.bifpn
    multiple = 1 << (bifpn.max_level if bifpn else BACKBONES_HALVINGS)

    def side(length: int) -> int:
        return max(int(SCALE * length) // multiple, 1) * multiple

    fixed, keep = resizer.fixed_shape_resizer, resizer.keep_aspect_ratio_resizer
    if fixed:
        fixed = replace(fixed, height=side(fixed.height), width=side(fixed.width))
    if keep:
        keep = replace(keep, min_dimension=side(keep.min_dimension), max_dimension=side(keep.max_dimension))
    return replace(resizer, fixed_shape_resizer=fixed, keep_aspect_ratio_resizer=keep)
