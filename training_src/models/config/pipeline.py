# SPDX-License-Identifier: Apache-2.0
"""`pipeline.proto`: a whole `pipeline.config`, read, bundled, and fitted to a data set."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import ClassVar

from training_src.models.config import misspelling
from training_src.models.config.decoding import decode, message_of
from training_src.models.config.evaluation import EvalConfig
from training_src.models.config.faster_rcnn import FasterRcnn
from training_src.models.config.graph_rewriter import GraphRewriter
from training_src.models.config.input_reader import InputReader
from training_src.models.config.legacy import Mapped, modernise
from training_src.models.config.limits import check_limits
from training_src.models.config.ssd import Ssd
from training_src.models.config.training import TrainConfig, drop_length, scale_rates, scale_schedule
from training_src.models.errors import ConfigError
from training_src.models.schedules import ZOO, with_schedule
from training_src.text_format import Message, decoded, dump, parse

# At the end of a bundled name, or what was written of it.
_SIZE = re.compile(r"_?\d{3,4}(x\d{3,4})?$")
CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True, kw_only=True)
class Model:
    """`model.proto`."""

    ONE_OF: ClassVar = True
    ssd: Ssd | None = None
    faster_rcnn: FasterRcnn | None = None

    @property
    def family(self) -> Ssd | FasterRcnn:
        """The one that is set."""
        chosen = self.ssd or self.faster_rcnn
        assert chosen is not None  # the message holds exactly one
        return chosen


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """A whole `pipeline.config`."""

    model: Model
    train_config: TrainConfig
    train_input_reader: InputReader = field(default_factory=InputReader)
    eval_config: EvalConfig = field(default_factory=EvalConfig)
    eval_input_reader: tuple[InputReader, ...] = ()
    graph_rewriter: GraphRewriter = field(default_factory=GraphRewriter)

    @property
    def quantize(self) -> bool:
        """Whether an int8 export is asked for."""
        return self.graph_rewriter.quantization is not None


@dataclass(frozen=True)
class PipelineDescription:
    """A parsed `pipeline.config` with the message from which it came.

    Attributes:
        config: The typed fields.
        message: The text's message, changes applied: what goes into the artifact.
        source: The file's name, or the bundled architecture's.
        mapped: What is taken in another way than the file says.
    """

    config: PipelineConfig
    message: Message
    source: str
    mapped: tuple[Mapped, ...] = ()

    def text(self) -> str:
        """The description as text protobuf."""
        return dump(self.message)

    def digest(self) -> str:
        """sha256 of what trained weights depend on: not layout and comments, the length, and what is exported."""
        message = parse(self.text())
        message.pop("graph_rewriter", None)
        drop_length(message_of(message, "train_config"))
        return hashlib.sha256(dump(message).encode()).hexdigest()


def bundled_architectures() -> list[str]:
    """The names that `--architecture` takes."""
    return sorted(path.stem for path in CONFIGS.glob("*.config"))


def canonical_name(architecture: str) -> str:
    """The bundled name of an architecture, whichever of the zoo's names is given.

    The zoo's archives are called `efficientdet_d1_coco17_tpu-32` or `ssd_resnet50_v1_fpn_640x640_coco17_tpu-8`, its
    configs `ssd_efficientdet_d1_640x640_coco17_tpu-8`, and its page gives D6 1280x1280 where the config has 1408x1408.

    Raises:
        ConfigError: If there is no such architecture.
    """
    known = bundled_architectures()
    stem = re.sub(r"_coco17_[tg]pu-\d+$", "", architecture.strip())
    if stem in known:
        return stem
    numbered = re.match(r"(?:ssd_)?(efficientdet_d\d)(?:_|$)", stem)
    for name in known:
        if numbered and name.startswith(f"{numbered.group(1)}_"):
            return name
    similar = _of_the_same_network(stem, known)
    asked = f"did you mean {similar}? There are" if similar else "choose"
    raise ConfigError(
        f"architecture {architecture!r} is not known: {asked} {', '.join(known)}, or give a pipeline.config"
    )


def _of_the_same_network(stem: str, known: Sequence[str]) -> str | None:
    """The bundled name of a misspelt network, of its sizes the closest one."""
    networks = {name: _SIZE.sub("", name) for name in known}
    network = misspelling.meant(_SIZE.sub("", stem), set(networks.values()))
    names = [name for name, own in networks.items() if own == network]
    return max(names, key=lambda name: SequenceMatcher(None, stem, name).ratio(), default=None)


def load_bundled(architecture: str, num_classes: int, *, zoos_schedule: bool = False) -> PipelineDescription:
    """The bundled config of an architecture, for a label map whose greatest id is `num_classes`.

    Args:
        architecture: Any of its names.
        num_classes: Without the background.
        zoos_schedule: Whether the steps, the batch and the rates are those of the zoo's own training.

    Raises:
        ConfigError: If there is no such architecture.
    """
    name = canonical_name(architecture)
    text = (CONFIGS / f"{name}.config").read_text()
    if zoos_schedule and name in ZOO:
        text = with_schedule(text, ZOO[name])
    message = parse(text, f"{name}.config")
    model = message_of(message, "model")
    (family,) = model
    message_of(model, family)["num_classes"] = [num_classes]
    mapped = modernise(message)
    return PipelineDescription(_decoded(message), message, name, mapped)


def load(path: Path, num_classes: int, named: int = 0) -> PipelineDescription:
    """A user's own `pipeline.config`, for a label map whose greatest id is `num_classes`.

    Args:
        path: Of the file.
        num_classes: The greatest id; the model has an output for every id up to it.
        named: How many classes the label map names. A config that says no less, but less than the greatest id, counts
            classes whose ids have gaps, and is taken as if it said that id. 0: its number stays, as a checkpoint asks.

    Raises:
        ConfigError: If a field is not supported, or the config has fewer classes than the label map needs.
        TextFormatError: If the file is not text protobuf.
    """
    message = parse(_text(path), path.name)
    if not message:
        raise ConfigError(f"{path}: no field stands in it; give a pipeline.config")
    mapped = modernise(message)
    config = _decoded(message)
    configured = config.model.family.num_classes
    if 0 < named <= configured < num_classes:
        family = "ssd" if config.model.ssd else "faster_rcnn"
        models = [model for model in message["model"] if isinstance(model, Message) and family in model]
        message_of(models[-1], family)["num_classes"] = [num_classes]
        taken = f"{num_classes}, the greatest id of the label map's {named} classes"
        mapped = (*mapped, Mapped(f"model.{family}.num_classes", str(configured), taken))
        config = _decoded(message)
    elif configured < num_classes:
        raise ConfigError(
            f"{path.name}: num_classes is {configured}, but the label map's greatest id is {num_classes}; "
            f"set num_classes: {num_classes} (ids may have gaps, the class count must reach the greatest)"
        )
    return PipelineDescription(config, message, path.name, mapped)


def _decoded(message: Message) -> PipelineConfig:
    config = decode(PipelineConfig, message)
    check_limits(config)
    config.model.family.check()
    _check_labels(config)
    return config


def _check_labels(config: PipelineConfig) -> None:
    count = config.model.family.num_classes
    for option in config.train_config.data_augmentation_options:
        if option.remap_labels and option.remap_labels.new_label > count:
            raise ConfigError(
                f"train_config.data_augmentation_options: remap_labels.new_label is {option.remap_labels.new_label}, "
                f"but num_classes {count}; give an id of the label map"
            )


def _text(path: Path) -> str:
    try:
        return decoded(path.read_bytes(), path.name)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read as text ({error}); give a pipeline.config") from error


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
    scale_schedule(train_config, ratio, num_steps)
    return replace(description, config=decode(PipelineConfig, message), message=message)


def with_batch_size(description: PipelineDescription, batch_size: int, *, scale_rate: bool) -> PipelineDescription:
    """The same description trained with another batch, the learning rate in proportion where that is wanted."""
    message = parse(description.text())
    train_config = message_of(message, "train_config")
    train_config["batch_size"] = [batch_size]
    if scale_rate:
        scale_rates(train_config, batch_size / description.config.train_config.batch_size)
    return replace(description, config=decode(PipelineConfig, message), message=message)
