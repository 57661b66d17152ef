# SPDX-License-Identifier: Apache-2.0
"""`estimate`: what an execution's training will be, and what it takes, before anything is started."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from containers.contract.cores import cores
from training_src.data.dataset import LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.label_map import LabelMap, read_label_map
from training_src.data.splits import SPLITS
from training_src.data.statistics import EvenSample
from training_src.models.anchor_overlaps import BoxArrays
from training_src.models.box_shapes import BoxShapes
from training_src.models.config.pipeline import (
    PipelineDescription,
    load,
    load_bundled,
    with_batch_size,
    with_num_steps,
)
from training_src.models.fitted_input import decided_by_data, recorded_footprint
from training_src.models.training_memory import (
    GIB,
    Footprint,
    Memory,
    asked_batch,
    batch_for,
)
from training_src.models.training_time import REFERENCE, REFERENCE_CORES, seconds_an_image
from training_src.models.zoo import zoo_model
from training_src.training.config_warnings import greatest_rate
from training_src.training.hyperparameters import Settings, unpacked
from training_src.training.memory import machines_memory

TRAIN = SPLITS[0]


def run(
    folder: Path | None = None,
    *,
    architecture: str | None = None,
    config: Path | None = None,
    label_map: Path | None = None,
    training_settings: str = "",
    training_steps: int = 0,
    memory_gib: float | None = None,
    replicas: int = 1,
    gpu: bool = False,
    zoos_checkpoint: bool = False,
) -> int:
    """Print the plan of a training as JSON; refuse what does not fit.

    Without a folder nothing is said of images; without memory_gib this machine's memory is taken, with 0 it is unknown.
    A training that starts from a checkpoint of the zoo has its schedule, and its input.
    """
    labels = read_label_map(label_map) if label_map else None
    images, labels, shapes = _read(folder, labels) if folder else (None, labels, None)
    greatest = labels.greatest_id if labels else 1
    if config:
        description = load(config, greatest, len(labels.names) if labels else 0)
    else:
        description = load_bundled(architecture or "", greatest, zoos_schedule=zoos_checkpoint)
    follows = config is None and not zoos_checkpoint and zoo_model(description.source).follows_data
    if follows and shapes is not None:
        description = decided_by_data(description, shapes).description
    settings = Settings.of(unpacked({"settings": training_settings}))
    footprint = _footprint(description, bundled=config is None)
    half = settings.mixed_precision == "on" or (gpu and settings.mixed_precision == "auto")
    memory = Memory(machines_memory() if memory_gib is None else int(memory_gib * GIB), gpu)
    told = {
        "images": images,
        "classes": list(labels.names.values()) if labels else None,
        "input": _input(description, follows=follows, known=shapes is not None),
        "cores": cores(),
        "seconds_an_image": seconds_an_image(footprint, description.config.model.family.feature_extractor.type),
        "reference": REFERENCE,
        "reference_cores": REFERENCE_CORES,
        **_training(
            description,
            asked_batch(settings.batch_size, description.config.train_config.batch_size, bundled=config is None),
            footprint.in_half_precision() if half else footprint,
            memory,
            replicas,
            training_steps,
        ),
    }
    print(json.dumps(told))
    return 0


def _read(folder: Path, labels: LabelMap | None) -> tuple[int, LabelMap, BoxShapes | None]:
    """How many images the annotations name, their classes, and the shapes of the boxes to train on.

    Boxes of images whose size the annotations do not tell, and of those that are for validation or test, do not count.
    """
    dataset = read_dataset(folder, labels)
    images, sample = 0, EvenSample(5)
    for entry in dataset.entries():
        images += 1
        if isinstance(entry, LabelledImage) and entry.width and entry.height and entry.given_split in (None, TRAIN):
            size = entry.width, entry.height
            rows = [(box.xmax - box.xmin, box.ymax - box.ymin, *size, box.label) for box in entry.boxes]
            sample.add(np.array(rows, np.float32).reshape(-1, 5))
    width, height, across, down, label = sample.values().T
    if not len(label):
        return images, dataset.label_map, None
    centre, split = np.full_like(width, 0.5), np.zeros(len(label), np.int64)
    boxes = BoxArrays(width, height, across, down, centre, centre, label.astype(np.int64), split)
    return images, dataset.label_map, BoxShapes.counted(boxes, dataset.label_map.names)


def _input(description: PipelineDescription, *, follows: bool, known: bool) -> dict[str, Any]:
    """The input's height and width, and whether the data decide them; None where they differ from image to image."""
    fixed = description.config.model.family.image_resizer.fixed_shape_resizer
    size = [fixed.height, fixed.width] if fixed else None
    return {"size": size, "follows_data": follows, "decided": known or not follows}


def _footprint(description: PipelineDescription, *, bundled: bool) -> Footprint:
    if bundled:
        return recorded_footprint(description)
    # A config of the user's own has to be built, with TensorFlow, which takes seconds.
    from training_src.models.architectures import build_detector
    from training_src.models.footprint import footprint

    return footprint(build_detector(description.config.model), description.config.model)


def _training(
    description: PipelineDescription,
    asked: int | str,
    footprint: Footprint,
    memory: Memory,
    replicas: int,
    training_steps: int,
) -> dict[str, Any]:
    """Batch, length, rate and memory; without a known memory `auto` stays open."""
    configured = description.config.train_config
    batch = asked if asked != "auto" else None
    if memory.total:
        batch = batch_for(asked, configured.batch_size, footprint, memory, replicas)  # type: ignore[arg-type]
    described = with_num_steps(description, training_steps or configured.num_steps)
    if isinstance(batch, int):
        described = with_batch_size(described, batch, scale_rate=True)
    needed = footprint.bytes_of(-(-batch // replicas), on_gpu=memory.on_gpu) if isinstance(batch, int) else None
    return {
        "model": description.source,
        "steps": described.config.train_config.num_steps,
        "batch_size": batch,
        "configs_batch_size": configured.batch_size,
        "learning_rate": greatest_rate(described.config.train_config.optimizer.learning_rate),
        "configs_learning_rate": greatest_rate(configured.optimizer.learning_rate),
        "memory": {"needed": needed, "total": memory.total or None, "gpu": memory.on_gpu},
    }
