# SPDX-License-Identifier: Apache-2.0
"""Three instances that share a data set's images, as three processes, against one that has them all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from containers.contract.tfrecord import read_records
from pipelines.demo.scenes import draw_scenes
from training_src.data.records.example import read_examples

REPOSITORY = Path(__file__).resolve().parents[2]
SPLITS = ("train", "validation", "test")
HOSTS = ("algo-1", "algo-2", "algo-3")
Result = subprocess.CompletedProcess[str]
Job = Callable[..., tuple[Result, Path]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_scenes(folder, train=20, validation=7, test=9, size=(160, 120))
    return folder


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Runs an entry point as the platform would on one of `hosts`; returns the process and the job's root."""

    def run(
        command: str, inputs: dict[str, Path], host: str = "algo-1", hosts: Sequence[str] = HOSTS
    ) -> tuple[Result, Path]:
        root = tmp_path / f"{command}-{host}-{len(hosts)}-{len(list(tmp_path.iterdir()))}"
        names = ("train", "validation", "test", "metadata")
        config = {
            "ProcessingInputs": [
                {"InputName": name, "S3Input": {"LocalPath": str(folder)}} for name, folder in inputs.items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [{"OutputName": name, "S3Output": {"LocalPath": f"/opt/ml/output/{name}"}} for name in names]
            },
        }
        (root / "config").mkdir(parents=True)
        (root / "config/processingjobconfig.json").write_text(json.dumps(config))
        (root / "config/resourceconfig.json").write_text(json.dumps({"current_host": host, "hosts": list(hosts)}))
        done = subprocess.run(
            [sys.executable, "-m", "training_src", command],
            cwd=REPOSITORY,
            env={**os.environ, "MAPGATE_ML_ROOT": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done, root / "output"

    return run


@pytest.fixture
def dealt(drawn: Path, tmp_path: Path) -> list[dict[str, Path]]:
    """The inputs of each instance: its share of the images, and all annotations."""
    annotations = tmp_path / "annotations"
    shutil.copytree(drawn, annotations, ignore=shutil.ignore_patterns("*.jpg"))
    shares = []
    for number, host in enumerate(HOSTS):
        share = tmp_path / f"share-{host}"
        for file in sorted((drawn / "JPEGImages").iterdir())[number::3]:
            (share / "JPEGImages").mkdir(parents=True, exist_ok=True)
            shutil.copy(file, share / "JPEGImages")
        shares.append({"dataset": share, "annotations": annotations})
    return shares


def test_three_instances_prepare_what_one_prepares(
    drawn: Path, job: Job, dealt: list[dict[str, Path]], tmp_path: Path
) -> None:
    done, alone = job("prepare", {"dataset": drawn}, hosts=("algo-1",))
    assert done.returncode == 0, done.stderr
    together = tmp_path / "together"
    for host, inputs in zip(HOSTS, dealt, strict=True):
        done, output = job("prepare", inputs, host)
        assert done.returncode == 0, done.stderr
        assert not (output / "metadata/dataset.json").exists()
        shutil.copytree(output, together, dirs_exist_ok=True)
    done, joined = job("join", {"metadata": together / "metadata"}, hosts=("algo-1",))
    assert done.returncode == 0, done.stderr

    for split in SPLITS:
        records = [
            sorted(data for file in folder.glob(f"{split}/*.tfrecord") for _, data in read_records(file))
            for folder in (alone, together)
        ]
        assert records[0] == records[1]
        assert len(list(read_examples(together / split))) == len(records[0])
    one, three = (json.loads((folder / "metadata/dataset.json").read_text()) for folder in (alone, joined))
    assert one.keys() == three.keys()
    assert {key for key in one if one[key] != three[key]} <= {"notices"}
    label_maps = [(folder / "metadata/label_map.pbtxt").read_text() for folder in (alone, joined)]
    assert label_maps[0] == label_maps[1]
    assert (joined / "metadata/report.html").stat().st_size > 1000


def test_leak_between_machines_is_found_by_the_join(job: Job, dealt: list[dict[str, Path]], tmp_path: Path) -> None:
    test_image = next(dealt[0]["dataset"].rglob("test_*.jpg"))
    train_image = next(dealt[1]["dataset"].rglob("train_*.jpg"))
    shutil.copy(test_image, train_image)
    together = _prepare_all(job, dealt, tmp_path)

    done, output = job("join", {"metadata": together})

    assert done.returncode == 2
    assert f"JPEGImages/{train_image.name} (train) and JPEGImages/{test_image.name} (test) are the same" in done.stderr
    assert not (output / "metadata/dataset.json").exists()


def test_missing_image_and_missing_part_are_refused_by_the_join(
    job: Job, dealt: list[dict[str, Path]], tmp_path: Path
) -> None:
    next(dealt[2]["dataset"].rglob("train_*.jpg")).unlink()
    together = _prepare_all(job, dealt, tmp_path)

    done, _ = job("join", {"metadata": together})
    assert done.returncode == 2
    assert "The instances saw 35 images of 36 that are annotated" in done.stderr

    (together / "part-algo-2.sqlite").unlink()
    done, _ = job("join", {"metadata": together})
    assert done.returncode == 2
    assert "No part of algo-2 is there; PrepareDataset has 3 instances." in done.stderr


def _prepare_all(job: Job, dealt: list[dict[str, Path]], tmp_path: Path) -> Path:
    together = tmp_path / "metadata"
    together.mkdir()
    for host, inputs in zip(HOSTS, dealt, strict=True):
        done, output = job("prepare", inputs, host)
        assert done.returncode == 0, done.stderr
        shutil.copy(output / f"metadata/part-{host}.sqlite", together)
    return together
