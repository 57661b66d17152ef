# SPDX-License-Identifier: Apache-2.0
"""`estimate`: what an execution's training will be, and what it takes, before anything is started."""

import json
from pathlib import Path
from typing import Any

from training_src.data.formats import read_dataset
from training_src.data.label_map import LabelMap, read_label_map
from training_src.data.processes import cores
from training_src.models.config.pipeline import (
    PipelineDescription,
    load,
    load_bundled,
    with_batch_size,
    with_num_steps,
)
from training_src.models.training_memory import (
    GIB,
    Footprint,
    Memory,
    asked_batch,
    batch_for,
    bundled_footprint,
)
from training_src.models.training_time import REFERENCE, REFERENCE_CORES, seconds_an_image
from training_src.training.config_warnings import greatest_rate
from training_src.training.hyperparameters import Settings, unpacked
from training_src.training.memory import machines_memory


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
) -> int:
    """Print the plan of a training as JSON; refuse what does not fit.

    Without a folder nothing is said of images; without memory_gib this machine's memory is taken, with 0 it is unknown.
    """
    labels = read_label_map(label_map) if label_map else None
    images, labels = _counted(folder, labels) if folder else (None, labels)
    greatest = labels.greatest_id if labels else 1
    description = load(config, greatest) if config else load_bundled(architecture or "", greatest)
    settings = Settings.of(unpacked({"settings": training_settings}))
    footprint = _footprint(description, bundled=config is None)
    half = settings.mixed_precision == "on" or (gpu and settings.mixed_precision == "auto")
    memory = Memory(machines_memory() if memory_gib is None else int(memory_gib * GIB), gpu)
    told = {
        "images": images,
        "classes": list(labels.names.values()) if labels else None,
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


def _counted(folder: Path, labels: LabelMap | None) -> tuple[int, LabelMap]:
    """How many images the annotations name, and their classes."""
    dataset = read_dataset(folder, labels)
    return sum(1 for _ in dataset.entries()), dataset.label_map


def _footprint(description: PipelineDescription, *, bundled: bool) -> Footprint:
    if bundled:
        return bundled_footprint(description.source)
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
