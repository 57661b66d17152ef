# SPDX-License-Identifier: Apache-2.0
"""A model's archive tells of itself, and is trusted with nothing."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from containers.contract.errors import ArchiveError
from training_src.evaluation.artifact import read_artifact
from training_src.evaluation.errors import EvaluationError


def _archive(folder: Path, **files: bytes) -> Path:
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}.json")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return folder / "model.tar.gz"


def test_the_descriptions_and_the_digest_are_the_archives_own(tmp_path: Path) -> None:
    description = {"dataset": {"sha256": "ab"}, "training": {"seed": 17}}
    path = _archive(tmp_path, model=json.dumps(description).encode(), history=b'[{"step": 1}, "no record"]', other=b"{")
    artifact = read_artifact(path)
    assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (artifact.trained_on, artifact.training, artifact.history) == ("ab", {"seed": 17}, [{"step": 1}])


def test_the_config_is_read_beside_the_descriptions(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {"model.json": b"{}", "pipeline.config": b"model { \xff }"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert read_artifact(path).pipeline_config == "model { \N{REPLACEMENT CHARACTER} }"
    assert read_artifact(_archive(tmp_path, model=b"{}")).pipeline_config == ""


def test_a_model_without_history_has_an_empty_one(tmp_path: Path) -> None:
    artifact = read_artifact(_archive(tmp_path, model=b"{}"))
    assert (artifact.trained_on, artifact.history) == (None, [])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"history": b"[]"}, "has no model.json that describes it; train again"),
        ({"model": b"[]"}, "has no model.json that describes it; train again"),
        ({"model": b"{"}, "its description cannot be read .*; train again"),
    ],
)
def test_a_model_that_does_not_describe_itself_is_refused(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        read_artifact(_archive(tmp_path, **files))


def test_an_archive_that_was_made_to_do_harm_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("model.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.addfile(link)
    with pytest.raises(ArchiveError, match="link or a device"):
        read_artifact(tmp_path / "model.tar.gz")
    with pytest.raises(ArchiveError, match="cannot be read"):
        read_artifact(tmp_path / "missing.tar.gz")
