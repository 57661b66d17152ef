# SPDX-License-Identifier: Apache-2.0
"""What only the join can see of a data set that three instances share.

That three prepare what one prepares is told by a pipeline in `tests/localcloud/runs/test_several_instances.py`.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from containers.contract.job import ProcessingJob
from pipelines.demo.scenes import draw_scenes
from training_src.errors import ConfigurationError, DataError
from training_src.join import join
from training_src.prepare import prepare

HOSTS = ("algo-1", "algo-2", "algo-3")
OUTPUTS = ("train", "validation", "test", "metadata")
Inputs = dict[str, Path]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_scenes(folder, train=20, validation=7, test=9, size=(160, 120))
    return folder


@pytest.fixture
def dealt(drawn: Path, tmp_path: Path) -> list[Inputs]:
    """The inputs of each instance: its share of the images, and all annotations."""
    annotations = tmp_path / "annotations"
    shutil.copytree(drawn, annotations, ignore=shutil.ignore_patterns("*.jpg"))
    shares: list[Inputs] = []
    for number, host in enumerate(HOSTS):
        share = tmp_path / f"share-{host}"
        (share / "JPEGImages").mkdir(parents=True)
        for file in sorted((drawn / "JPEGImages").iterdir())[number::3]:
            shutil.copy(file, share / "JPEGImages")
        shares.append({"dataset": share, "annotations": annotations})
    return shares


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instances are this process, which may have started threads: it does not fork."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


def test_annotations_that_are_dealt_out_too_are_refused_at_once(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="let AnnotationsUri name the annotations"):
        prepare(_job_of(tmp_path, "algo-2", {"dataset": drawn}))


def test_an_instances_inputs_may_lie_on_another_disk(
    dealt: list[Inputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on SageMaker, where no file of theirs has a second name in `/tmp`."""

    def no_second_name(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "hardlink_to", no_second_name)
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(tmp_path / "ml"))
    given = tmp_path / "ml" / "processing" / "input"
    given.mkdir(parents=True)
    inputs = {name: place.rename(given / name) for name, place in dealt[0].items()}
    job = _job_of(tmp_path, HOSTS[0], inputs)
    prepare(job)
    assert (job.output("metadata") / f"part-{HOSTS[0]}.sqlite").is_file()


def test_leak_between_machines_is_found_by_the_join(dealt: list[Inputs], tmp_path: Path) -> None:
    test_image = next(dealt[0]["dataset"].rglob("test_*.jpg"))
    train_image = next(dealt[1]["dataset"].rglob("train_*.jpg"))
    shutil.copy(test_image, train_image)
    parts = _prepare_all(dealt, tmp_path)

    with pytest.raises(DataError) as refusal:
        join(_job(tmp_path, "joined", {"metadata": parts}))

    names = f"JPEGImages/{train_image.name} (train) and JPEGImages/{test_image.name} (test)"
    assert f"{names} are the same" in str(refusal.value)
    assert not (tmp_path / "joined/metadata/dataset.json").exists()


def test_missing_image_and_missing_part_are_refused_by_the_join(dealt: list[Inputs], tmp_path: Path) -> None:
    next(dealt[2]["dataset"].rglob("train_*.jpg")).unlink()
    parts = _prepare_all(dealt, tmp_path)

    with pytest.raises(DataError, match="The instances saw 35 images of 36 that are annotated"):
        join(_job(tmp_path, "joined", {"metadata": parts}))
    (parts / "part-algo-2.sqlite").unlink()
    with pytest.raises(DataError, match=r"No part of algo-2 is there; PrepareDataset has 3 instances\."):
        join(_job(tmp_path, "joined", {"metadata": parts}))


def _prepare_all(dealt: list[Inputs], place: Path) -> Path:
    """Run PrepareDataset on each instance; returns the folder of what they leave to the join."""
    parts = place / "parts"
    parts.mkdir()
    for host, inputs in zip(HOSTS, dealt, strict=True):
        job = _job_of(place, host, inputs)
        prepare(job)
        assert not (job.output("metadata") / "dataset.json").exists()
        shutil.copy(job.output("metadata") / f"part-{host}.sqlite", parts)
    return parts


def _job_of(place: Path, host: str, inputs: Inputs) -> ProcessingJob:
    """PrepareDataset's on one of the instances."""
    job = _job(place, host, inputs)
    (job.root / "config").mkdir(parents=True)
    told = {"current_host": host, "hosts": list(HOSTS)}
    (job.root / "config/resourceconfig.json").write_text(json.dumps(told))
    return job


def _job(place: Path, name: str, inputs: Inputs) -> ProcessingJob:
    outputs = {output: place / name / output for output in OUTPUTS}
    return ProcessingJob(place / name, inputs, outputs, environment={}, sources={}, destinations={})
