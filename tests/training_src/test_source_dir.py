# SPDX-License-Identifier: Apache-2.0
"""An estimator's source_dir, from archives that are made here and from places where nobody answers."""

import functools
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from containers.contract.archive import extract
from containers.contract.job import TrainingJob
from training_src.source_dir import SourceError, unpack_source

OF_THE_SDK = "/opt/ml/input/data/code/sourcedir.tar.gz"
FILES = {
    "run_training.sh": b"touch /tmp/was-run",
    "train.py": b"raise SystemExit(1)",
    "pipeline.config": b"model {}",
    "./other/second.config": b"model { ssd {} }",
    "checkpoint/ckpt-0.index": b"index",
    "checkpoint/ckpt-0.data-00000-of-00001": b"data",
    "checkpoint/run.sh": b"touch /tmp/was-run",
    "checkpoint.py": b"",
    "zoo/checkpoint/ckpt-0.index": b"another",
    "data/a.record": b"",
    # As people call it who try several.
    "faster_rcnn_checkpoint/ckpt-0.index": b"index",
    "faster_rcnn_checkpoint/ckpt-0.data-00000-of-00001": b"data",
    "faster_rcnn_checkpoint/train.py": b"",
}


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    (tmp_path / "ml" / "input" / "data" / "code").mkdir(parents=True)
    return TrainingJob(tmp_path / "ml", {}, {})


def packed(job: TrainingJob, files: dict[str, bytes], *further: tarfile.TarInfo) -> None:
    """Leave an archive where the SDK has it for isolated jobs."""
    with tarfile.open(job.place(OF_THE_SDK), "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o777
            tar.addfile(member, io.BytesIO(content))
        for member in further:
            tar.addfile(member)


def code(job: TrainingJob) -> list[str]:
    folder = job.root / "code"
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_configs_and_the_checkpoint_come_out_and_nothing_else(job: TrainingJob) -> None:
    packed(job, FILES)
    unpack_source(job, OF_THE_SDK)
    assert code(job) == [
        "checkpoint/ckpt-0.data-00000-of-00001", "checkpoint/ckpt-0.index", "checkpoint/run.sh",
        "faster_rcnn_checkpoint/ckpt-0.data-00000-of-00001", "faster_rcnn_checkpoint/ckpt-0.index",
        "other/second.config", "pipeline.config", "zoo/checkpoint/ckpt-0.index",
    ]  # fmt: skip
    assert not any(os.access(job.root / "code" / name, os.X_OK) for name in code(job))


@pytest.mark.parametrize("address", ["file:///opt/ml/input/data/code/sourcedir.tar.gz", "file://" + OF_THE_SDK])
def test_an_archive_may_be_named_as_a_file(job: TrainingJob, address: str) -> None:
    packed(job, FILES)
    unpack_source(job, address)
    assert "pipeline.config" in code(job)


def test_what_a_killed_training_left_half_unpacked_is_unpacked_anew(job: TrainingJob) -> None:
    packed(job, {"pipeline.config": b"model {}"})
    (job.root / "code.partial").mkdir()
    (job.root / "code.partial" / "half.config").write_text("mod")
    unpack_source(job, OF_THE_SDK)
    assert code(job) == ["pipeline.config"]
    assert not (job.root / "code.partial").exists()


def test_what_is_there_already_stays(job: TrainingJob) -> None:
    packed(job, FILES)
    (job.root / "code").mkdir()
    (job.root / "code" / "own.config").write_text("model {}")
    unpack_source(job, OF_THE_SDK)
    assert code(job) == ["own.config"]


def of_kind(kind: bytes, name: str = "checkpoint/ckpt-1.index") -> Callable[[], tarfile.TarInfo]:
    def make() -> tarfile.TarInfo:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        return member

    return make


@pytest.mark.parametrize(
    ("files", "further", "sentence"),
    [
        ({"../../evil.config": b"x"}, [], "leads out of the archive's folder"),
        ({"/etc/evil.config": b"x"}, [], "leads out of the archive's folder"),
        ({"checkpoint/../../../evil": b"x"}, [], "leads out of the archive's folder"),
        (FILES, [of_kind(tarfile.SYMTYPE)], "is a link or a device"),
        (FILES, [of_kind(tarfile.SYMTYPE, "checkpoint")], "is a link or a device"),
        (FILES, [of_kind(tarfile.LNKTYPE)], "is a link or a device"),
        # Of what is not wanted, too.
        (FILES, [of_kind(tarfile.SYMTYPE, "data/link")], "is a link or a device"),
        (FILES, [of_kind(tarfile.CHRTYPE, "null")], "is a link or a device"),
        (FILES, [of_kind(tarfile.FIFOTYPE, "checkpoint/fifo")], "is a link or a device"),
        ({"pipeline.config/a.config": b"x", "pipeline.config": b"y"}, [], "twice"),
        ({"pipeline.config": b"x", "./pipeline.config": b"y"}, [], "twice"),
    ],
)
def test_an_archive_that_was_made_to_do_harm_leaves_nothing(
    job: TrainingJob,
    files: dict[str, bytes],
    further: list[Callable[[], tarfile.TarInfo]],
    sentence: str,
) -> None:
    packed(job, files, *(make() for make in further))
    with pytest.raises(SourceError, match=f"(?s){sentence}.*pack it anew, or put its pipeline.config into a channel"):
        unpack_source(job, OF_THE_SDK)
    assert sorted(entry.name for entry in job.root.iterdir()) == ["input"]


def test_a_bomb_is_not_unpacked(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    limited = functools.partial(extract, max_bytes=2**20, max_members=20)
    monkeypatch.setattr("training_src.source_dir.extract", limited)
    for files in ({"checkpoint/zeros": bytes(2**21)}, {"zeros": bytes(2**21)}, dict.fromkeys(map(str, range(99)), b"")):
        packed(job, {"pipeline.config": b"model {}"} | files)
        with pytest.raises(SourceError, match="more than 20 members, 1048576 bytes"):
            unpack_source(job, OF_THE_SDK)
        assert sorted(entry.name for entry in job.root.iterdir()) == ["input"]


def test_a_job_without_network_is_told_the_channel(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(job.root))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    sentence = "as in a job with network isolation.*Unable to locate credentials.*into a channel called config"
    with pytest.raises(SourceError, match=sentence):
        unpack_source(job, "s3://bucket/job/source/sourcedir.tar.gz", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"Could not connect.*into a channel called config"):
        unpack_source(job, "s3://bucket/job/source/sourcedir.tar.gz", "us-east-1")


@pytest.mark.parametrize("address", [OF_THE_SDK, "file:///home/me/sourcedir.tar.gz", "sourcedir.tar.gz", "s3://bucket"])
def test_an_address_that_leads_nowhere_is_a_sentence(
    job: TrainingJob, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SourceError, match="into a channel called config"):
        unpack_source(job, address, "us-east-1")
