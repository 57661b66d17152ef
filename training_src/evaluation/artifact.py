# SPDX-License-Identifier: Apache-2.0
"""What a model.tar.gz says of itself; only its descriptions and its lists of groups are read."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from containers.contract.archive import extract
from training_src.data.seen_groups import SeenGroups, of_model
from training_src.evaluation.errors import EvaluationError

DESCRIPTION, HISTORY, CONFIG = "model.json", "history.json", "pipeline.config"


@dataclass(frozen=True)
class Artifact:
    """A trained model's archive.

    Attributes:
        sha256: Of the archive.
        description: `model.json`.
        history: `history.json`, one entry a training or validation record; empty when there is none.
        pipeline_config: Its `pipeline.config`; "" when there is none.
        seen: The groups of images that it and its ancestors have learnt from.
        bytes: Size of the archive.
    """

    sha256: str
    description: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    pipeline_config: str = ""
    seen: SeenGroups = field(default_factory=SeenGroups)
    bytes: int = 0

    @property
    def measured_as(self) -> str:
        """How MeasureServing names the archive: SHA-256 over its SHA-256."""
        return hashlib.sha256(bytes.fromhex(self.sha256)).hexdigest()

    @property
    def trained_on(self) -> str | None:
        """Content hash of the data set that the model was trained on."""
        dataset = self.description.get("dataset")
        found = dataset.get("sha256") if isinstance(dataset, dict) else None
        return found if isinstance(found, str) and found else None

    @property
    def class_names(self) -> Mapping[int, str]:
        """Names of the classes by the ids that its detections have.

        Raises:
            EvaluationError: The description does not say them.
        """
        try:
            return {int(one["id"]): str(one["name"]) for one in self.description["classes"]}
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"its {DESCRIPTION} does not name its classes; export the model again") from error

    @property
    def training(self) -> Mapping[str, Any]:
        """Steps, seed, fingerprint."""
        training = self.description.get("training")
        return training if isinstance(training, dict) else {}


def read_artifact(path: Path) -> Artifact:
    """Read an archive; nothing of it is unpacked but its descriptions.

    Raises:
        ArchiveError: It is missing or damaged, or was made to do harm.
        EvaluationError: It has no `model.json`.
    """
    with tempfile.TemporaryDirectory(prefix="artifact-") as scratch:
        folder = Path(scratch) / "model"
        extract(path, folder, _is_description)
        try:
            description, history = _read(folder / DESCRIPTION), _read(folder / HISTORY)
            config = (
                (folder / CONFIG).read_text(encoding="utf-8", errors="replace") if (folder / CONFIG).is_file() else ""
            )
        except (OSError, ValueError) as error:
            raise EvaluationError(f"{path}: its description cannot be read ({error}); train again") from error
        seen = of_model(folder / DESCRIPTION)
    if not isinstance(description, dict):
        raise EvaluationError(f"{path}: has no {DESCRIPTION} that describes it; train again")
    entries = history if isinstance(history, list) else []
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    entries = [entry for entry in entries if isinstance(entry, dict)]
    return Artifact(digest, description, entries, config, seen, path.stat().st_size)


def _is_description(name: PurePath) -> bool:
    return str(name) in (DESCRIPTION, HISTORY, CONFIG) or name.match("groups-*.txt")


def _read(file: Path) -> object:
    return json.loads(file.read_bytes()) if file.is_file() else None
