# SPDX-License-Identifier: Apache-2.0
"""What a model.tar.gz says of itself; only the two JSON files in it are read."""

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_src.evaluation.errors import EvaluationError


@dataclass(frozen=True)
class Artifact:
    """A trained model's archive.

    Attributes:
        sha256: Of the archive.
        description: `model.json`.
        history: `history.json`, one entry a training or validation record; empty when there is none.
    """

    sha256: str
    description: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]

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
    def training(self) -> Mapping[str, Any]:
        """Steps, seed, fingerprint."""
        training = self.description.get("training")
        return training if isinstance(training, dict) else {}


def read_artifact(path: Path) -> Artifact:
    """Read an archive without unpacking it.

    Raises:
        EvaluationError: It is missing, damaged, or has no `model.json`.
    """
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with tarfile.open(path, "r:gz") as archive:
            found = {Path(member.name).as_posix(): member for member in archive.getmembers() if member.isfile()}
            description = _read(archive, found.get("model.json"))
            history = _read(archive, found.get("history.json"))
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise EvaluationError(f"{path}: cannot be read as a model archive ({error}); train again") from error
    if not isinstance(description, dict):
        raise EvaluationError(f"{path}: has no model.json that describes it; train again")
    entries = history if isinstance(history, list) else []
    return Artifact(digest, description, [entry for entry in entries if isinstance(entry, dict)])


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> object:
    stream = archive.extractfile(member) if member else None
    return json.load(stream) if stream else None
