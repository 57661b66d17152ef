# SPDX-License-Identifier: Apache-2.0
"""What a training says of itself before it begins."""

import sys
from collections.abc import Mapping, Sequence

import keras

from training_src.models.config.legacy import mapping_table
from training_src.models.config.pipeline import CONFIGS, PipelineDescription, load_bundled
from training_src.models.detector import Detector
from training_src.training.anchor_reach import boxes_of, reach_lines
from training_src.training.config_warnings import config_warnings, greatest_rate
from training_src.training.loop import Plan
from training_src.training.progressive_resizing import small_steps, smaller
from training_src.training.records import Records

# A rate that is that of a bundled config, within this share, was taken from it.
SAME_RATE = 0.01


def print_header(
    detector: Detector, plan: Plan, source: str, names: Mapping[int, str], images: tuple[int, int], fingerprint: str
) -> None:
    """What is trained, on what, for how long.

    Args:
        detector: That is trained.
        plan: How.
        source: What the config is called.
        names: The label map's.
        images: To train on, and to validate on.
        fingerprint: Under which its checkpoints lie.
    """
    classes = ", ".join(f"{number} {name}" for number, name in names.items())
    augmentation = [
        next(name for name, value in vars(option).items() if value is not None)
        for option in plan.config.data_augmentation_options
    ]
    policy = keras.mixed_precision.global_policy().name
    parameters = sum(network.count_params() for network in detector.networks)
    replicas = plan.strategy.num_replicas_in_sync
    first = small_steps(plan.config, plan.settings.progressive_resizing or 0.0)
    beginning = f", the first {first} with images of {_size(smaller(detector))}" if first else ""
    print(
        f"model         {source}, input {_size(detector)}, {parameters / 1e6:.2f} M parameters, "
        f"{policy}\n"
        f"classes       {classes}\n"
        f"data          {images[0]} images to train on, {images[1]} to validate on\n"
        f"training      {plan.config.num_steps} steps of batch {plan.config.batch_size}"
        f"{f' on {replicas} replicas' if replicas > 1 else ''}"
        f"{beginning}, seed {plan.settings.seed}, {', '.join(augmentation) or 'no augmentation'}\n"
        f"fingerprint   {fingerprint}",
        flush=True,
    )


def print_remarks(plan: Plan, description: PipelineDescription, overridden: Sequence[str]) -> None:
    """What is not as the config says, what was mapped to fields of today, and what looks like a mistake.

    Args:
        plan: How it is trained.
        description: Of the detector.
        overridden: A line for each thing that is not as the config says.
    """
    for line in overridden:
        print(f"overridden    {line}")
    print(mapping_table(description.mapped), end="\n" if description.mapped else "")
    replicas = plan.strategy.num_replicas_in_sync
    for line in config_warnings(plan.config, _batch_of_equal_rate(description), replicas):
        print(f"attention     {line}")
    sys.stdout.flush()


def print_anchors(
    description: PipelineDescription,
    records: Records,
    names: Mapping[int, str],
    decided_by_data: Sequence[str],
    *,
    bundled: bool,
) -> None:
    """What the data decide, and which boxes the anchors do not reach.

    Args:
        description: Of the detector.
        records: To train on.
        names: The label map's.
        decided_by_data: A sentence for each thing of the config that the data decide.
        bundled: Whether the config is not the user's own.
    """
    decisions = [("data decides", sentence) for sentence in decided_by_data]
    reached = reach_lines(description, boxes_of(records), names, bundled=bundled)
    for subject, sentence in [*decisions, *reached]:
        print(f"{subject:<13} {sentence}")
    sys.stdout.flush()


def _batch_of_equal_rate(description: PipelineDescription) -> int:
    """The batch of the bundled config whose extractor and learning rate this one has; 0 where there is none."""
    extractor = description.config.model.family.feature_extractor.type
    rate = greatest_rate(description.config.train_config.optimizer.learning_rate)
    for file in sorted(CONFIGS.glob("*.config")):
        if f'"{extractor}"' not in file.read_text():
            continue
        bundled = load_bundled(file.stem, 1).config.train_config
        if abs(greatest_rate(bundled.optimizer.learning_rate) / rate - 1) < SAME_RATE:
            return bundled.batch_size
    return 0


def _size(detector: Detector) -> str:
    return "x".join(map(str, detector.input_size)) if detector.input_size else "as the image's"
