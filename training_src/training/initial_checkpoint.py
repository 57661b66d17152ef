# SPDX-License-Identifier: Apache-2.0
"""What a training starts from: a checkpoint that was given, the weights that the image carries, or none.

The channel `checkpoint` (or `model`, as the built-in algorithm calls it) decides first, then the config's
`fine_tune_checkpoint`, then, for a bundled config, whether the image carries weights of its backbone.

What a model says of the images that it has seen is believed where only this environment's trainings and its deployer
write, and nowhere else: people write below `inputs/`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from containers.contract.files import json_object
from containers.contract.job import container_path
from training_src.data.label_map import LabelMap
from training_src.data.seen_groups import SeenGroups, of_anybodys_model, of_model
from training_src.errors import ConfigurationError
from training_src.models.checkpoints import checkpoint
from training_src.models.checkpoints.by_class import restore_by_class
from training_src.models.checkpoints.checkpoint import Restored
from training_src.models.checkpoints.files import archive_of, beside
from training_src.models.config.faster_rcnn import FasterRcnn
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.config.ssd import Ssd
from training_src.models.detector import Detector
from training_src.models.schedules import ZOO
from training_src.source_dir import CODE
from training_src.training.checkpoint_classes import checkpoint_classes, is_of_the_zoo, model_classes
from training_src.training.request import Request

# Beside the source in the training image, and in the laptop's copy of it.
PRETRAINED = Path(__file__).parents[2] / "pretrained"
# The only object of a channel that asks for drawn weights, as `none` is that of a channel that asks for nothing.
SCRATCH = "scratch"
# Prefixes of the environment's bucket below which nobody but its trainings and its deployer writes.
OWN_MODELS = ("models", "released")
# The zoo's files name a checkpoint to be replaced.
PLACEHOLDER = "PATH_TO_BE_CONFIGURED"

Origin = Literal["given", "configured", "pretrained"]


@dataclass(frozen=True)
class InitialCheckpoint:
    """A checkpoint to start from.

    Attributes:
        prefix: Its path without `.index`; it can be read as long as the job's working folder is there.
        origin: Who chose it: a channel, the config's `fine_tune_checkpoint`, or nobody, so that it is the image's.
        source: What was given: a folder, an archive or a prefix.
        kind: The `fine_tune_checkpoint_type` that the user wrote; "" where none is written, and classes go by name.
        written: The config's `fine_tune_checkpoint`.
        address: Where what was given lies in S3; "" where nobody told.
        bucket: The environment's; "" where nobody told, and no address is one of its own.
    """

    prefix: str
    origin: Origin
    source: Path
    kind: str = ""
    written: str = ""
    address: str = ""
    bucket: str = ""

    @property
    def digest(self) -> str:
        """sha256 of its index, which holds a checksum of every tensor."""
        return hashlib.sha256(Path(f"{self.prefix}.index").read_bytes()).hexdigest()

    @property
    def mark(self) -> str:
        """What tells it from others in a training's fingerprint.

        A tensor's checksum has 32 bits, so that other weights can be given the same index: a training never goes on
        from the checkpoints of one that started elsewhere.
        """
        return f"{self.digest} {self.address}".strip()

    @property
    def name(self) -> str:
        """What a person would call it: a folder's or an archive's name, a prefix's where neither is there."""
        return (archive_of(self.source) or self.source).name

    @property
    def seen(self) -> SeenGroups:
        """The images that its weights have seen, as far as it is a model of ours."""
        model, digest = beside(self.prefix, "model.json"), self.digest[:12]
        if model is None:
            return SeenGroups(unknown=(f"{self.name} {digest}",))
        return of_model(model) if self._is_own else of_anybodys_model(model, f"{self.address or self.name} {digest}")

    def description(self) -> dict[str, Any]:
        """What `model.json` says of it under `initial_checkpoint`."""
        model, source, archive = beside(self.prefix, "model.json"), self._source(), archive_of(self.source)
        return {
            "kind": "model" if model else "pretrained" if self.origin == "pretrained" else "checkpoint",
            "name": self.name,
            "source": source,
            "index_sha256": self.digest,
            "archive_sha256": _sha256_of(archive) if archive else None,
            "address": self.address or None,
            "model": _ancestor(model) if model else None,
        }

    @property
    def _is_own(self) -> bool:
        """Whether it was made here: it lies where only trainings and the deployer write, or the image carries it."""
        places = tuple(f"s3://{self.bucket}/{prefix}/" for prefix in OWN_MODELS)
        return self.origin == "pretrained" or (bool(self.bucket) and self.address.startswith(places))

    def _source(self) -> str | None:
        """Where it comes from, if that is told: the config's path, or the package of the image's weights."""
        if self.origin == "configured":
            return self.written
        told = beside(self.prefix, "source.json")
        content = json_object(told) if told else {}
        return f"{content['package']} {content.get('version', '')}".strip() if "package" in content else None


def initial_checkpoint(
    request: Request, description: PipelineDescription, work: Path, pretrained: Path = PRETRAINED
) -> InitialCheckpoint | None:
    """The checkpoint to start from; None where all weights are drawn.

    Args:
        request: With the folder of the channel, if one was given.
        description: What is trained, what the job says put over it.
        work: A folder for what is unpacked.
        pretrained: The folder of the weights that the image carries.

    Raises:
        ArchiveError: If an archive is damaged or not to be trusted.
        CheckpointError: If there is none where one was given.
        ConfigurationError: If the config names one that is not there.
    """
    if request.checkpoint is not None:
        if [entry.name for entry in request.checkpoint.iterdir()] == [SCRATCH]:
            return None
        return _opened("given", request.checkpoint, request, description, work)
    configured = description.config.train_config.fine_tune_checkpoint
    if configured and PLACEHOLDER not in configured:
        return _opened("configured", _configured(configured, request, description), request, description, work)
    carried = None if request.config else next(_of_its_backbone(description, pretrained), None)
    return _opened("pretrained", carried, request, description, work) if carried else None


def restore(detector: Detector, initial: InitialCheckpoint, label_map: LabelMap) -> Restored:
    """Read the checkpoint into a detector whose weights are drawn, as its type says, else class by class.

    Args:
        detector: Its variables are overwritten.
        initial: What to start from.
        label_map: The classes that the detector is to learn.

    Raises:
        CheckpointError: If it cannot be read, or does not fit.
    """
    variables = detector.variables()
    if initial.kind:
        return checkpoint.restore(variables, initial.prefix, initial.kind)
    classes = model_classes(detector, label_map)
    return restore_by_class(variables, initial.prefix, classes, checkpoint_classes(initial.prefix, classes))


def takes_zoos_schedule(description: PipelineDescription, initial: InitialCheckpoint | None) -> bool:
    """Whether the detection zoo's own steps, batch and rates are taken: from its checkpoint on, where it has some.

    Args:
        description: What is trained; a user's config says all of it itself.
        initial: What the training starts from.
    """
    return initial is not None and description.source in ZOO and is_of_the_zoo(initial.prefix)


def _ancestor(description: Path) -> dict[str, Any]:
    """What names the model that a training goes on from."""
    content = json_object(description)
    return {
        "architecture": content.get("architecture"),
        "fingerprint": _of(content, "training").get("fingerprint"),
        "best_step": _of(content, "training").get("best_step"),
        "dataset": {"sha256": _of(content, "dataset").get("sha256")},
    }


def _of(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name)
    return found if isinstance(found, Mapping) else {}


def _sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _configured(text: str, request: Request, description: PipelineDescription) -> Path:
    """The config's checkpoint: a place in the container, in an estimator's code, as for the API, or beside."""
    beside = [request.config.parent / text] if request.config else []
    for place in (container_path(request.root, text), request.root / CODE / text, *beside):
        if Path(f"{place}.index").exists() or place.exists():
            return place
    taken = " Of a source_dir only configs and checkpoints are taken." if (request.root / CODE).is_dir() else ""
    raise ConfigurationError(
        f"{description.source}: fine_tune_checkpoint {text!r} is not there; give its folder as InitialCheckpointUri "
        f"(the channel checkpoint), or remove the field.{taken}"
    )


def _opened(
    origin: Origin, source: Path, request: Request, description: PipelineDescription, work: Path
) -> InitialCheckpoint:
    prefix, kind = checkpoint.locate(source, work), _written_type(request, description)
    written = description.config.train_config.fine_tune_checkpoint
    # The address is that of the channel; a config's path may be of any other, and of what people put there.
    address, bucket = (request.checkpoint_uri, request.data_bucket) if origin == "given" else ("", "")
    return InitialCheckpoint(prefix, origin, source, kind, written, address, bucket)


def _written_type(request: Request, description: PipelineDescription) -> str:
    """That of a config of the user's, or what the built-in algorithm's hyperparameter asks for."""
    if request.config is None and request.built_in.reinitialize_top_layer == "auto":
        return ""
    return description.config.train_config.fine_tune_checkpoint_type


def _of_its_backbone(description: PipelineDescription, pretrained: Path) -> Iterator[Path]:
    """The folders of carried weights whose backbone is of the same kind and depth."""
    wanted = _backbone(description)
    for config in sorted(pretrained.glob("*/pipeline.config")):
        if wanted is not None and _backbone(load(config, 1)) == wanted:
            yield config.parent


def _backbone(description: PipelineDescription) -> tuple[str, float] | None:
    """Kind and depth; None for two stages, which divide theirs."""
    family: Ssd | FasterRcnn = description.config.model.family
    if isinstance(family, FasterRcnn):
        return None
    extractor = family.feature_extractor
    return extractor.type.removesuffix("_keras").removesuffix("_fpn"), extractor.depth_multiplier
