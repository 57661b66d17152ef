# SPDX-License-Identifier: Apache-2.0
"""The training job as the platform runs it: a process, its directory, its signals."""

import json
import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf
from tensorflow.core.util import event_pb2

from containers.contract.tfrecord import read_records
from training_src import train
from training_src.export.openvino_core import core
from training_src.models.checkpoints import checkpoint
from training_src.training.progress_report import ProgressReport

CHECKOUT = Path(__file__).parents[3]
MakeJob = Callable[..., Path]
TRAIN_LINE = re.compile(
    r"^step=(\d+)/(\d+) loss=([0-9.]+) classification_loss=([0-9.]+) localization_loss=([0-9.]+) "
    r"learning_rate=([0-9.]+) images_per_second=([0-9.]+)(?: eta_seconds=(\d+))?$"
)
TWELVE_STEPS = {
    "num_train_steps": "12",
    "settings": "seed=3 checkpoint_interval=2 validation_interval=6 deterministic=true progressive_resizing=0.5",
}
VALIDATION_LINE = re.compile(r"^validation step=(\d+) mAP=([0-9.]+) mAP_50=([0-9.]+) loss=[0-9.]+$")


def start(root: Path, command: Sequence[str]) -> subprocess.Popen[str]:
    """`train` as SageMaker starts it: a clean environment without any `SM_*` variable."""
    environment = {"PATH": os.environ["PATH"], "MAPGATE_ML_ROOT": str(root)}
    return subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(root: Path, command: Sequence[str]) -> str:
    process = start(root, command)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def last_state(root: Path) -> dict[str, Any]:
    (folder,) = (root / "checkpoints").iterdir()
    newest = max(folder.glob("step-*"))
    return checkpoint.read(str(newest / "state"))


def history(root: Path) -> list[dict[str, float]]:
    entries: list[dict[str, float]] = json.loads((root / "model" / "history.json").read_text())
    return [{k: v for k, v in entry.items() if k != "images_per_second"} for entry in entries]


def curves(root: Path) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """TensorBoard's scalars and images: the steps of each by its tag."""
    (file,) = (root / "output" / "tensorboard").glob("events.out.tfevents.*")
    scalars: dict[str, list[int]] = {}
    pictures: dict[str, list[int]] = {}
    for _, record in read_records(file):
        event = event_pb2.Event.FromString(record)
        for value in event.summary.value:
            found = pictures if value.metadata.plugin_data.plugin_name == "images" else scalars
            if found is pictures:
                width, height, encoded = value.tensor.string_val
                assert simplejpeg.decode_jpeg(encoded).shape == (int(height), int(width), 3)
            found.setdefault(value.tag, []).append(event.step)
    return scalars, pictures


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, Path]:
    """Filled by the first test that trains to the end, so that others can compare."""
    return {}


@pytest.fixture
def twelve_steps(make_job: MakeJob, small_config: str) -> Path:
    """A job whose first six steps see smaller images."""
    return make_job(config=small_config.replace("height: 64 width: 64", "height: 128 width: 128"), **TWELVE_STEPS)


def test_trains_and_writes_everything_that_later_steps_read(
    twelve_steps: Path, uninterrupted: dict[str, Path], training_command: Sequence[str]
) -> None:
    root = twelve_steps
    output = run(root, training_command)
    lines = output.splitlines()
    assert [match.group(1) for match in map(TRAIN_LINE.match, lines) if match] == [str(step) for step in range(1, 13)]
    assert [match.group(1) for match in map(VALIDATION_LINE.match, lines) if match] == ["6", "12"]
    assert any(line.startswith("fingerprint ") for line in lines)
    assert "1 square, 2 disc, 4 bar" in output
    assert "12 steps of batch 2, the first 6 with images of 64x64, seed 3" in output

    model = root / "model"
    description = json.loads((model / "model.json").read_text())
    assert description["schema_version"] == 1
    assert description["input"] == {"height": 128, "width": 128}
    assert [item["id"] for item in description["classes"]] == [1, 2, 4]
    assert description["dataset"] == {"sha256": "0" * 64}
    assert description["initial_checkpoint"] is None
    assert description["training"]["steps"] == 12
    assert description["training"]["seed"] == 3
    for runtime in description["runtimes"].values():
        assert (model / runtime["path"]).exists()
    assert "num_steps: 12" in (model / "pipeline.config").read_text()
    assert [entry["step"] for entry in history(root) if "mAP" in entry] == [6, 12]
    scalars, pictures = curves(root)
    assert scalars["train/loss"] == list(range(1, 13))
    assert scalars["validation/mAP"] == scalars["validation/loss"] == [6, 12]
    assert pictures["validation/0"] == pictures["validation/2"] == [6, 12]
    assert not (root / "output" / "failure").exists()
    uninterrupted["root"] = root


def test_deterministic_and_killed_at_any_step_it_goes_on_with_the_same_bits(
    twelve_steps: Path, uninterrupted: dict[str, Path], training_command: Sequence[str], unexported: Sequence[str]
) -> None:
    if "root" not in uninterrupted:
        pytest.skip("there is no uninterrupted run to compare with")
    root = twelve_steps
    process = start(root, training_command)
    assert process.stdout is not None
    reached = int(np.random.default_rng().integers(3, 11))
    for line in process.stdout:
        if line.startswith(f"step={reached}/"):
            break
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (root / "model").exists() or not (root / "model" / "model.json").exists()

    output = run(root, unexported)
    resumed = re.search(r"^resumed +after step (\d+)$", output, re.MULTILINE)
    assert resumed, output
    assert reached - 2 <= int(resumed.group(1)) <= 12
    # To the bit: those before the interruption, and those after it.
    assert history(root) == history(uninterrupted["root"])
    expected = last_state(uninterrupted["root"])
    for key, tensor in last_state(root).items():
        np.testing.assert_array_equal(tensor, expected[key], err_msg=key)


@pytest.mark.usefixtures("short_mobilenet", "unsimplified")
def test_sigterm_writes_a_checkpoint_from_which_a_training_of_another_length_goes_on(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_job(num_train_steps="50", checkpoint_interval="50", validation_interval="50", xla="off")
    say, before = ProgressReport.training, signal.getsignal(signal.SIGTERM)

    def say_and_terminate(
        report: ProgressReport, step: int, values: Mapping[str, float], eta_seconds: float | None
    ) -> None:
        say(report, step, values, eta_seconds)
        if step == 3:
            # Without a listener it would end the whole process, which runs other tests too.
            assert callable(signal.getsignal(signal.SIGTERM))
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ProgressReport, "training", say_and_terminate)
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(root))
    try:
        code = train.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    assert code == 143
    failure = (root / "output" / "failure").read_text()
    assert failure.startswith("Training was asked to stop at step 4 of 50; started again"), failure
    (folder,) = (root / "checkpoints").iterdir()
    assert [path.name for path in folder.glob("step-*")] == ["step-00000004"]

    parameters = root / "input" / "config" / "hyperparameters.json"
    given = {**json.loads(parameters.read_text()), "num_train_steps": "6", "early_stopping_patience": "9"}
    parameters.write_text(json.dumps(given))
    config = root / "input" / "data" / "config" / "pipeline.config"
    config.write_text(re.sub(r"(num_steps|total_steps): \d+", r"\1: 2000", config.read_text()))
    monkeypatch.setattr(train, "write_artifact", lambda *_: None)
    assert run_here(root, monkeypatch) == 0
    assert "resumed       after step 4 of 50: from here on with the schedule of 6 steps" in capsys.readouterr().out
    assert [path.name for path in root.glob("checkpoints/*/step-*")] == ["step-00000006"]


@pytest.mark.usefixtures("short_mobilenet")
def test_starts_from_another_trainings_archive_ends_when_nothing_improves_and_exports_the_best_in_32_bits(
    make_job: MakeJob,
    uninterrupted: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "root" not in uninterrupted:
        pytest.skip("there is no trained model to start from")
    stopping = {"early_stopping_patience": "2", "early_stopping_metric": "loss", "early_stopping_min_delta": "1e9"}
    place = {"initial_checkpoint_uri": "s3://house/models/parent/output/model.tar.gz", "data_bucket": "house"}
    root = make_job(num_train_steps="40", validation_interval="1", mixed_precision="on", seed="4", **stopping, **place)
    config = root / "input" / "config" / "inputdataconfig.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "checkpoint": {}}))
    # The parent's data set is as an earlier version wrote it, and tells no groups.
    described = root / "input" / "data" / "metadata" / "dataset.json"
    groups = {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    described.write_text(json.dumps({**json.loads(described.read_text()), "groups": groups}))
    parent = uninterrupted["root"] / "model"
    with tarfile.open(_made(root / "input" / "data" / "checkpoint") + "/model.tar.gz", "w:gz") as tar:
        tar.add(parent, arcname="")
    assert run_here(root, monkeypatch) == 0
    output = capsys.readouterr().out
    assert re.search(r"^restored +[1-9]\d* variables of ", output, re.MULTILINE)
    # The first one improves on nothing; the next two do not by as much as is asked for.
    assert "stopped       at step 3: 2 validations without a better loss than at step" in output
    assert "M parameters, mixed_bfloat16\n" in output
    losses = {entry["step"]: entry["validation_loss"] for entry in history(root) if "validation_loss" in entry}
    assert list(losses) == [1, 2, 3]
    description = json.loads((root / "model" / "model.json").read_text())
    best, initial = description["training"]["best_step"], description["initial_checkpoint"]
    assert (initial["kind"], initial["name"]) == ("model", "model.tar.gz")
    assert initial["address"] == place["initial_checkpoint_uri"]
    assert initial["model"]["fingerprint"] == json.loads((parent / "model.json").read_text())["training"]["fingerprint"]
    assert "classes kept     3 square, disc, bar" in output
    groups = {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    seen = {"groups": groups, "unknown": ["data set 000000000000"]}
    assert description["seen"] == seen
    assert losses[best] == min(losses.values())
    assert [path.name for path in root.glob("checkpoints/*/best-*")] == [f"best-{best:08d}"]
    evaluated = re.search(r"^Val_classification=([0-9.]+)$", output, re.MULTILINE)
    located = re.search(r"^Val_localization=([0-9.]+)$", output, re.MULTILINE)
    assert evaluated and located
    assert float(evaluated[1]) + float(located[1]) == pytest.approx(losses[best], rel=0.02)
    computed = tf.saved_model.load(str(root / "model" / "1")).signatures["serving_default"].graph.get_operations()
    assert tf.bfloat16 not in {tensor.dtype for operation in computed for tensor in operation.outputs}
    assert core().compile_model(root / "model" / "runtimes" / "openvino" / "model.xml", "CPU").outputs


@pytest.mark.usefixtures("short_mobilenet")
def test_where_int8_is_asked_for_files_for_the_edge_lie_among_the_outputs_and_not_in_the_model(
    make_job: MakeJob, small_config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_job(config=f"{small_config}\ngraph_rewriter {{ quantization {{ }} }}\n", num_train_steps="1")
    assert run_here(root, monkeypatch) == 0
    assert "edge          model_float16.tflite, " in capsys.readouterr().out
    with tarfile.open(root / "output" / "data" / "edge.tar.gz") as archive:
        held = archive.getnames()
    assert {"edge/model_float16.tflite", "edge/labels.txt", "edge/parity.json", "edge/example.py"} <= set(held)
    assert not list((root / "model").rglob("*.tflite"))


@pytest.mark.usefixtures("short_mobilenet", "unsimplified")
def test_a_loss_that_is_not_finite_stops_with_a_sentence(
    make_job: MakeJob, small_config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config
    for name in ("learning_rate_base", "warmup_learning_rate"):
        config = re.sub(rf"{name}: [0-9.e+-]+", f"{name}: 1e30", config)
    root = make_job(config=config, num_train_steps="30", checkpoint_interval="1", validation_interval="30")
    assert run_here(root, monkeypatch) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert re.match(r"Step \d+: .* learning_rate_base", (root / "output" / "failure").read_text())
    assert not (root / "model" / "model.json").exists()


@pytest.mark.parametrize(
    ("change", "hyperparameters", "sentence"),
    [
        (("num_classes: 4", "num_classes: 2"), {}, "num_classes is 2, but the label map's greatest id is 4"),
        (("use_depthwise: true", "use_depthwise: true use_bifpn: 1"), {}, "use_bifpn: 1 is not supported"),
        (None, {"num_train_steps": "many"}, 'The hyperparameter num_train_steps is "many"'),
        (None, {"settings": "seed=3 patience=5"}, 'TrainingSettings holds "patience=5"; give NAME=VALUE with one of'),
        (None, {"settings": "seed 3"}, 'TrainingSettings holds "seed"; give NAME=VALUE'),
        (None, {"settings": "seed=3 seed=4"}, "The setting seed is given twice"),
        (None, {"settings": '"xla=maybe"'}, 'The hyperparameter xla is "maybe"; give one of auto, loss, step, off.'),
        (None, {"progressive_resizing": "half"}, 'The hyperparameter progressive_resizing is "half"'),
        (
            None,
            {"progressive_resizing": "1.5"},
            'The hyperparameter progressive_resizing is "1.5"; give auto or a part',
        ),
        (
            None,
            {"progressive_resizing": "0.4"},
            "progressive_resizing: model.ssd.image_resizer: 32x32 is too small, ssd_mobilenet_v2_fpn_keras needs at "
            "least 33 pixels; set it to 0.",
        ),
        (None, {"learning_rate": "1"}, 'The hyperparameter "learning_rate" is not known'),
    ],
)
def test_bad_input_ends_with_two_and_a_sentence(
    make_job: MakeJob,
    small_config: str,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, str] | None,
    hyperparameters: dict[str, str],
    sentence: str,
) -> None:
    root = make_job(config=small_config.replace(*change) if change else small_config, **hyperparameters)
    assert run_here(root, monkeypatch) == 2
    assert sentence in (root / "output" / "failure").read_text()


def test_an_unknown_architecture_names_the_known_ones(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_job(config=None)
    assert run_here(root, monkeypatch) == 2
    failure = (root / "output" / "failure").read_text()
    assert "architecture 'small' is not known: choose efficientdet_d0_512x512, " in failure


def run_here(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The same entry point without the seconds that a process takes to start."""
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(root))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return train.main()


def _made(folder: Path) -> str:
    folder.mkdir(parents=True)
    return str(folder)
