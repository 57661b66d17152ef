# SPDX-License-Identifier: Apache-2.0
"""A tiny prepared data set, and job directories as SageMaker lays them out."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from containers.contract.tfrecord import write_record
from tests.training_src.training.short_networks import shorten_mobilenet, shorten_resnet
from training_src.data.label_map import LabelMap, write_label_map
from training_src.data.records.example import DetectionExample, encode
from training_src.models.config.pipeline import CONFIGS

CLASSES = {1: "square", 2: "disc", 4: "bar"}
SMALL = {
    "depth_multiplier: 1.0": "depth_multiplier: 0.1",
    "height: 160 width: 160": "height: 64 width: 64",
    "batch_size: 8": "batch_size: 2",
    "min_level: 3": "min_level: 4",
}
SHORTENED = """
from tests.training_src.training.short_networks import shorten_mobilenet
shorten_mobilenet()
"""
TRAIN = """
import runpy
runpy.run_module("training_src", run_name="__main__")
"""
UNEXPORTED = """
import json, sys
from containers.contract.files import write_whole
from training_src import train

def write_history(folder, detector, label_map, provenance, calibration):
    write_whole(folder / "history.json", json.dumps(provenance.history))

train.write_artifact = write_history
sys.exit(train.main())
"""
MakeJob = Callable[..., Path]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What PrepareDataset writes, for 12 images with one object each (and one without any)."""
    folder = tmp_path_factory.mktemp("prepared")
    for split, count in (("train", 9), ("validation", 3)):
        (folder / split).mkdir()
        for shard in range(2):
            with (folder / split / f"{split}-{shard:05d}-of-00002.tfrecord").open("wb") as stream:
                for index in range(shard, count, 2):
                    write_record(stream, encode(_example(split, index)))
    (folder / "metadata").mkdir()
    write_label_map(LabelMap(CLASSES), folder / "metadata" / "label_map.pbtxt")
    (folder / "metadata" / "dataset.json").write_text(json.dumps({"sha256": "0" * 64}))
    return folder


def _example(split: str, index: int) -> DetectionExample:
    rng = np.random.default_rng([len(split), index])
    image = rng.integers(0, 60, (48, 72, 3), dtype=np.uint8)
    label = list(CLASSES)[index % 3]
    left, top = (int(edge) for edge in rng.integers(4, 24, 2))
    image[top : top + 20, left : left + 20, label % 3] = 220
    boxes = np.array([[top / 48, left / 72, (top + 20) / 48, (left + 20) / 72]], np.float32)
    count = 0 if index == 8 else 1
    encoded = cv2.imencode(".jpg" if index % 2 else ".png", image)[1].tobytes()
    flags = np.zeros(count, np.int64)
    return DetectionExample(
        source_id=f"{split}-{index}",
        filename=f"{index}.jpg",
        encoded=encoded,
        format="jpeg" if index % 2 else "png",
        width=72,
        height=48,
        boxes=boxes[:count],
        labels=np.array([label] * count, np.int64),
        names=(CLASSES[label],) * count,
        difficult=flags,
        truncated=flags,
        crowd=flags,
    )


@pytest.fixture(scope="session")
def small_config() -> str:
    """A pipeline.config whose steps take a few milliseconds."""
    text = (CONFIGS / "ssd_mobilenet_v2_fpnlite_160x160.config").read_text()
    for old, new in SMALL.items():
        assert old in text
        text = text.replace(old, new)
    return text.replace("num_classes: 90", "num_classes: 4")


@pytest.fixture(scope="session")
def shortened() -> str:
    """The first lines of a process, after which its MobileNet is short."""
    return SHORTENED


@pytest.fixture(scope="module")
def short_mobilenet() -> Iterator[None]:
    """The same in this process, for a module."""
    with pytest.MonkeyPatch.context() as patch:
        shorten_mobilenet(patch.setattr)
        yield


@pytest.fixture(scope="module")
def short_networks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Short MobileNets and ResNets for a module; the long tests have whole ones."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.config.getoption("--verify"):
            shorten_mobilenet(patch.setattr)
            shorten_resnet(patch)
        yield


@pytest.fixture(scope="module")
def unsimplified() -> Iterator[None]:
    """Graphs run as they were traced: to simplify one takes longer than a few steps."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.fixture(scope="session")
def training_command() -> Sequence[str]:
    """`python -m training_src train` with a short MobileNet."""
    return sys.executable, "-c", SHORTENED + TRAIN, "train"


@pytest.fixture(scope="session")
def unexported() -> Sequence[str]:
    """The command of a training that leaves its history as the model: to export one takes longer than a few steps."""
    return sys.executable, "-c", SHORTENED + UNEXPORTED


@pytest.fixture
def make_job(prepared: Path, small_config: str, tmp_path: Path) -> MakeJob:
    """Make a training job's directory: `make_job(name, config=..., num_train_steps="6")`."""

    def make(name: str = "job", config: str | None = small_config, **hyperparameters: str) -> Path:
        root = tmp_path / name
        (root / "input" / "config").mkdir(parents=True)
        for channel in ("train", "validation", "metadata"):
            shutil.copytree(prepared / channel, root / "input" / "data" / channel)
        (root / "input" / "data" / "config").mkdir()
        if config is None:
            (root / "input" / "data" / "config" / "none").write_text("none\n")
        else:
            (root / "input" / "data" / "config" / "pipeline.config").write_text(config)
        channels: dict[str, object] = {channel: {} for channel in ("train", "validation", "metadata", "config")}
        _write(root / "input" / "config" / "inputdataconfig.json", channels)
        _write(root / "input" / "config" / "hyperparameters.json", {"architecture": "small", **hyperparameters})
        _write(root / "input" / "config" / "resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"]})
        return root

    return make


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))
