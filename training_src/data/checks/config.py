# SPDX-License-Identifier: Apache-2.0
"""Whether a pipeline.config fits the data set's classes."""

from __future__ import annotations

from pathlib import Path

from training_src.data.dataset import Fault
from training_src.data.label_map import LabelMap
from training_src.errors import ConfigurationError, TextFormatError
from training_src.text_format import Message, decoded, parse


def check_num_classes(config: Path, label_map: LabelMap) -> Fault | None:
    """Whether a pipeline.config's model has an output for every label id.

    The TF Object Detection API trains an id beyond `num_classes` as nothing, and says nothing. Here a number that
    counts classes whose ids have gaps is taken as the greatest id, which is told; one that counts fewer is an error.

    Raises:
        ConfigurationError: The file cannot be read, or states no `num_classes`.
    """
    try:
        model = _last_message(parse(decoded(config.read_bytes(), config.name), config.name), "model")
    except TextFormatError as error:
        raise ConfigurationError(f"{config.name} is no pipeline.config: {error}") from None
    architecture = next((values[-1] for values in model.values() if isinstance(values[-1], Message)), Message())
    number = architecture.get("num_classes", [None])[-1]
    if not isinstance(number, int):
        raise ConfigurationError(f"{config.name}: the model states no num_classes; add it.")
    if number >= label_map.greatest_id:
        return None
    ids = ", ".join(f"{label} ({name})" for label, name in label_map.names.items())
    if number >= len(label_map.names):
        message = (
            f"{config.name}: num_classes is {number}, and the label ids have gaps (ids: {ids}); the greatest, "
            f"{label_map.greatest_id}, is taken."
        )
        return Fault(config.name, None, "layout", message)
    message = (
        f"{config.name}: num_classes is {number}, but the greatest label id is {label_map.greatest_id} (ids: {ids}); "
        f"set num_classes to {label_map.greatest_id}, or number the classes without gaps."
    )
    return Fault(config.name, None, "num_classes", message)


def _last_message(parent: Message, name: str) -> Message:
    value = parent.get(name, [Message()])[-1]
    return value if isinstance(value, Message) else Message()
