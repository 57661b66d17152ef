# SPDX-License-Identifier: Apache-2.0
"""`pipeline.proto`: a whole `pipeline.config`, read, bundled, and fitted to a data set."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from training_src.models.config.decoding import decode, message_of
from training_src.models.config.ssd import Ssd
from training_src.models.config.training import TrainConfig, scale_schedule
from training_src.models.errors import ConfigError
from training_src.models.text_format import Message, dump, parse

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True, kw_only=True)
class Model:
    ssd: Ssd


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """A whole `pipeline.config`. The readers and the evaluation are the pipeline's own, fed through channels."""

    ACCEPTED: ClassVar = frozenset({"train_input_reader", "eval_input_reader", "eval_config"})
    model: Model
    train_config: TrainConfig


@dataclass(frozen=True)
class PipelineDescription:
    """A parsed `pipeline.config` with the message from which it came.

    Attributes:
        config: The typed fields.
        message: The text's message, changes applied: what goes into the artifact.
        source: The file's name, or the bundled architecture's.
    """

    config: PipelineConfig
    message: Message
    source: str

    def text(self) -> str:
        """The description as text protobuf."""
        return dump(self.message)

    def digest(self) -> str:
        """sha256 of the description; layout and comments do not count."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def bundled_architectures() -> list[str]:
    """The names that `--architecture` takes."""
    return sorted(path.stem for path in CONFIGS.glob("*.config"))


def load_bundled(architecture: str, num_classes: int) -> PipelineDescription:
    """The bundled config of an architecture, for a label map whose greatest id is `num_classes`.

    Raises:
        ConfigError: If there is no such architecture.
    """
    path = CONFIGS / f"{architecture}.config"
    if architecture not in bundled_architectures():
        known = ", ".join(bundled_architectures())
        raise ConfigError(f"architecture {architecture!r} is not known: choose {known}, or give a pipeline.config")
    message = parse(path.read_text(), path.name)
    message_of(message_of(message, "model"), "ssd")["num_classes"] = [num_classes]
    return PipelineDescription(decode(PipelineConfig, message), message, architecture)


def load(path: Path, num_classes: int) -> PipelineDescription:
    """A user's own `pipeline.config`, for a label map whose greatest id is `num_classes`.

    Raises:
        ConfigError: If a field is not supported, or the config has fewer classes than the label map needs.
        TextFormatError: If the file is not text protobuf.
    """
    message = parse(path.read_text(), path.name)
    config = decode(PipelineConfig, message)
    configured = config.model.ssd.num_classes
    if configured < num_classes:
        raise ConfigError(
            f"{path.name}: num_classes is {configured}, but the label map's greatest id is {num_classes}; "
            f"set num_classes: {num_classes} (ids may have gaps, the class count must reach the greatest)"
        )
    return PipelineDescription(config, message, path.name)


def with_num_steps(description: PipelineDescription, num_steps: int) -> PipelineDescription:
    """The same description trained for `num_steps` steps, the learning rate's schedule scaled to that length.

    Where the config does not say for how many steps it was made, its schedule stays as it is.
    """
    config = description.config
    if num_steps == config.train_config.num_steps:
        return description
    ratio = num_steps / (config.train_config.num_steps or num_steps)
    message = parse(description.text())
    train_config = message_of(message, "train_config")
    train_config["num_steps"] = [num_steps]
    scale_schedule(train_config, ratio)
    return replace(description, config=decode(PipelineConfig, message), message=message)
