# SPDX-License-Identifier: Apache-2.0
"""Several devices and several instances compute what one with the whole batch does: real processes, real sockets."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from training_src import train
from training_src.errors import ConfigurationError
from training_src.training.distribution import Cluster
from training_src.training.progress_report import ProgressReport

CHECKOUT = Path(__file__).parents[3]
MakeJob = Callable[..., Path]
# One device with batches of four, then two with two images each, in one process whose CPU is divided; with batch norms
# frozen, and with batch norms that learn from all replicas' images.
STEPS = """
import json, sys
from pathlib import Path
import keras, numpy as np, tensorflow as tf
# To simplify graphs of all replicas takes longer than five steps do.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from training_src.models.config.decoding import decode
from training_src.models.config.pipeline import PipelineConfig
from training_src.models.architectures import build_detector
from training_src.text_format import parse
from training_src.training.distribution import Cluster, strategy_for
from training_src.training.input_pipeline import Batch
from training_src.training.step import TrainingStep

def run(file, strategy, xla):
    config = decode(PipelineConfig, parse(Path(file).read_text()))
    keras.utils.set_random_seed(3)
    with strategy.scope():
        detector = build_detector(config.model)
    step = TrainingStep(detector, config.train_config, strategy, seed=3, xla=xla)
    rng, losses, modules = np.random.default_rng(0), [], []
    for done, bucket in enumerate((8, 16, 8, 16, 8)):
        boxes = np.sort(rng.uniform(0, 1, (4, bucket, 2, 2)).astype("f"), axis=2).reshape(4, bucket, 4)
        weights = np.zeros((4, bucket), "f")
        weights[1:, :3] = 1
        images = rng.integers(0, 255, (4, 64, 64, 3)).astype("uint8")
        batch = Batch(*map(tf.constant, (images, [[64, 64, 3]] * 4, boxes, np.zeros((4, bucket), "i"), weights)))
        losses.append(step.losses(step(batch, 0.05, done)).total)
        modules.append(len(list(Path(sys.argv[1]).glob("*.before_optimizations.txt"))))
    weights = [float(np.abs(value).sum()) for value in step.weights().values()]
    return strategy.num_replicas_in_sync, step.traces, losses, weights, modules

one, two = tf.distribute.get_strategy(), strategy_for(Cluster())
frozen, synchronised = sys.argv[2:]
asked = [(frozen, one, "loss"), (frozen, two, "loss"), (synchronised, one, "off"), (synchronised, two, "off")]
print(json.dumps([run(*each) for each in asked]))
"""


@pytest.fixture
def frozen_config(small_config: str) -> str:
    return small_config.replace("freeze_batchnorm: false", "freeze_batchnorm: true").replace(
        "batch_size: 2", "batch_size: 4"
    )


class Steps(NamedTuple):
    """What a run of `STEPS` printed; `modules` are the modules that XLA had compiled after each step."""

    replicas: int
    traces: int
    losses: Sequence[float]
    weights: Sequence[float]
    modules: Sequence[int]


@pytest.fixture(scope="module")
def runs(small_config: str, shortened: str, tmp_path_factory: pytest.TempPathFactory) -> list[Steps]:
    """One device and two with frozen batch norms, one and two with synchronised ones."""
    folder = tmp_path_factory.mktemp("runs")
    whole = small_config.replace("batch_size: 2", "batch_size: 4")
    frozen = whole.replace("freeze_batchnorm: false", "freeze_batchnorm: true")
    (folder / "frozen").write_text(frozen.replace("use_moving_average: false", "use_moving_average: true"))
    (folder / "synchronised").write_text(whole.replace(" batch_norm {", " sync_batch_norm {"))
    (folder / "xla").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", shortened + STEPS, *(str(folder / name) for name in ("xla", "frozen", "synchronised"))],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            # A file for each module that XLA compiles, which is the only counter of that there is.
            "XLA_FLAGS": f"--xla_dump_to={folder / 'xla'} --xla_dump_hlo_as_text",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return [Steps(*run) for run in json.loads(done.stdout.splitlines()[-1])]


def test_two_devices_compute_what_one_does(runs: list[Steps]) -> None:
    one, two, *_ = runs
    assert (one.replicas, two.replicas) == (1, 2)
    np.testing.assert_allclose(two.losses, one.losses, rtol=1e-4)
    np.testing.assert_allclose(two.weights, one.weights, rtol=1e-4, atol=1e-4)


def test_synchronised_batch_norms_learn_from_all_replicas(runs: list[Steps]) -> None:
    *_, one, two = runs
    assert (one.replicas, two.replicas) == (1, 2)
    # Of half a batch each, the first loss would be another one. Later ones show the rounding of norms of few pixels.
    assert two.losses[0] == pytest.approx(one.losses[0], rel=1e-5)
    np.testing.assert_allclose(two.losses, one.losses, rtol=1e-3)


def test_nothing_is_traced_or_compiled_again_after_each_buckets_first_use(runs: list[Steps]) -> None:
    assert [run.traces for run in runs] == [1] * 4
    first, second, *later = runs[0].modules
    assert 0 < first < second
    assert later == [second] * 3


def start(root: Path, command: Sequence[str]) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "MAPGATE_ML_ROOT": str(root)}
    return subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def instances_of(job: Path, count: int) -> list[Path]:
    """The same job's directory on each of several instances."""
    hosts = [f"127.0.0.1:{port}" for port in sorted(free_ports(count), key=str)]
    roots = []
    for index, host in enumerate(hosts):
        root = job.with_name(f"{job.name}-{index}")
        shutil.copytree(job, root)
        content = {"current_host": host, "hosts": hosts}
        (root / "input" / "config" / "resourceconfig.json").write_text(json.dumps(content))
        roots.append(root)
    return roots


def stopped_after(root: Path) -> int:
    """The step after which a training says that it was stopped."""
    sentence = re.match(r"Training was asked to stop at step (\d+)", (root / "output" / "failure").read_text())
    assert sentence
    return int(sentence[1])


def kept_losses(root: Path) -> list[float]:
    """Of every step, as the only checkpoint of a stopped training holds them."""
    (state,) = root.glob("checkpoints/*/step-*")
    progress = json.loads((state / "progress.json").read_text())
    assert int(state.name.removeprefix("step-")) == progress["step"] == stopped_after(root)
    return [entry["loss"] for entry in progress["history"]]


def train_alone(root: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same job on one instance, which is asked to stop after so many steps."""
    handlers: list[Callable[[], None]] = []
    say = ProgressReport.training

    def say_and_stop(report: ProgressReport, step: int, *values: Any) -> None:
        say(report, step, *values)
        if step == steps:
            handlers[-1]()

    monkeypatch.setattr(ProgressReport, "training", say_and_stop)
    monkeypatch.setattr(signal, "signal", lambda _, handler: handlers.append(handler))
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(root))
    assert train.main() == 143


@pytest.mark.usefixtures("short_mobilenet")
def test_twenty_losses_of_two_instances_are_those_of_one_and_an_interruption_of_one_ends_both_with_a_checkpoint(
    make_job: MakeJob, frozen_config: str, training_command: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of fewer than a hundred steps each has its line.
    options = {"num_train_steps": "99", "validation_interval": "99", "checkpoint_interval": "99", "xla": "off"}
    alone = make_job("alone", config=frozen_config, seed="3", **options)
    chief, follower = instances_of(alone, 2)
    leading, following = start(chief, training_command), start(follower, training_command)
    try:
        assert leading.stdout is not None
        said = []
        for line in leading.stdout:
            said.append(line)
            if line.startswith("step=20/"):
                break
        following.send_signal(signal.SIGTERM)
        train_alone(alone, 20, monkeypatch)
        for process in (leading, following):
            output, _ = process.communicate(timeout=110)
            assert process.returncode == 143, [*said, output]
    finally:
        for process in (leading, following):
            process.kill()
    assert stopped_after(follower) == stopped_after(chief) >= 20
    together, expected = (kept_losses(root)[:20] for root in (chief, alone))
    assert len(together) == len(expected) == 20
    np.testing.assert_allclose(together, expected, rtol=1e-4)
    # Only the chief writes.
    assert not (follower / "model").exists() or not any((follower / "model").iterdir())
    assert not (follower / "checkpoints").exists() or not any((follower / "checkpoints").rglob("*.index"))


def test_a_batch_that_cannot_be_divided_is_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="5 does not divide among 2 instances"):
        Cluster(("a", "b")).part(5)


def test_a_cluster_without_this_host_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "input" / "config" / "resourceconfig.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"current_host": "algo-3", "hosts": ["algo-1", "algo-2"]}))
    with pytest.raises(ConfigurationError, match="current_host algo-3 is none of hosts algo-1, algo-2"):
        Cluster.load(tmp_path)
