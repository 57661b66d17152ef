# SPDX-License-Identifier: Apache-2.0
"""The platform's job directory, laid out as SageMaker documents it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from containers.contract.errors import ConfigurationError, DataError, MapgateError
from containers.contract.job import LONGEST_MESSAGE, ProcessingJob, TrainingJob, read_hosts, run


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAPGATE_ML_ROOT", str(tmp_path))
    return tmp_path


def _training(root: Path) -> None:
    config = root / "input/config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text('{"architecture": "ssd", "num_train_steps": "0"}')
    channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    (config / "inputdataconfig.json").write_text(json.dumps(dict.fromkeys(["train", "config", "checkpoint"], channel)))
    for name, file in (("train", "train-00000-of-00001.tfrecord"), ("config", "none")):
        (root / "input/data" / name).mkdir(parents=True)
        (root / "input/data" / name / file).write_text("none\n")


def _processing(root: Path, **changes: object) -> None:
    (root / "config").mkdir()
    document = {
        "ProcessingInputs": [
            {"InputName": name, "S3Input": {"LocalPath": f"/opt/ml/processing/input/{name}", "S3Uri": "s3://b/p"}}
            for name in ("dataset", "config")
        ],
        "ProcessingOutputConfig": {
            "Outputs": [{"OutputName": "train", "S3Output": {"LocalPath": "/opt/ml/processing/output/train"}}]
        },
        "Environment": {"MAPGATE_ARCHITECTURE": "ssd"},
    }
    (root / "config/processingjobconfig.json").write_text(json.dumps({**document, **changes}))
    (root / "processing/input/dataset").mkdir(parents=True)
    (root / "processing/input/dataset/a.jpg").write_text("")
    (root / "processing/input/config").mkdir()
    (root / "processing/input/config/none").write_text("none\n")


def test_training_job_reads_the_platforms_files(root: Path) -> None:
    _training(root)

    job = TrainingJob.load()

    assert job.hyperparameters == {"architecture": "ssd", "num_train_steps": "0"}
    assert job.channel("train") == root / "input/data/train"
    assert [job.channel(name) for name in ("config", "checkpoint", "other")] == [None, None, None]
    assert (job.model_dir, job.checkpoint_dir) == (root / "model", root / "checkpoints")
    assert job.output_dir == root / "output/data"
    assert all(folder.is_dir() for folder in (job.model_dir, job.checkpoint_dir, job.output_dir))


@pytest.mark.parametrize(
    ("told", "folder"),
    [
        ({}, "checkpoints"),
        ({"LocalPath": "/opt/ml/checkpoints/"}, "checkpoints"),
        ({"LocalPath": "/opt/ml/output/kept"}, "output/kept"),
        ({"LocalPath": "/root/checkpoints"}, "elsewhere/root/checkpoints"),
        # What lies there becomes the model.
        ({"LocalPath": "/opt/ml/model/checkpoints"}, "checkpoints"),
    ],
)
def test_checkpoints_lie_where_the_platform_looks_for_them(root: Path, told: dict[str, str], folder: str) -> None:
    _training(root)
    (root / "input/config/checkpointconfig.json").write_text(json.dumps({"S3Uri": "s3://bucket/kept", **told}))
    assert TrainingJob.load().checkpoint_dir == root / folder
    assert (root / folder).is_dir()


def test_processing_job_moves_the_platforms_paths_under_the_root(root: Path) -> None:
    _processing(root)

    job = ProcessingJob.load()

    assert job.input("dataset") == root / "processing/input/dataset"
    assert job.input("config") is None
    assert job.output("train") == root / "processing/output/train"
    assert job.environment == {"MAPGATE_ARCHITECTURE": "ssd"}
    assert (job.sources, job.destinations) == ({"dataset": "s3://b/p", "config": "s3://b/p"}, {"train": ""})
    assert job.maximum_seconds is None
    with pytest.raises(ConfigurationError, match='no output "test"'):
        job.output("test")


@pytest.mark.parametrize("condition", [{"MaxRuntimeInSeconds": 7200}, None, {"MaxRuntimeInSeconds": None}])
def test_a_processing_job_knows_when_it_is_stopped(root: Path, condition: dict[str, int] | None) -> None:
    _processing(root, StoppingCondition=condition)

    assert ProcessingJob.load().maximum_seconds == (condition or {}).get("MaxRuntimeInSeconds")


def test_processing_job_without_inputs_or_environment(root: Path) -> None:
    _processing(root, ProcessingInputs=None, ProcessingOutputConfig={"Outputs": None}, Environment=None)

    job = ProcessingJob.load()

    assert (job.input("dataset"), job.outputs, job.environment) == (None, {}, {})


def test_what_lies_elsewhere_than_below_the_platforms_root_stays_there(root: Path) -> None:
    places = {"data": "/opt/ml/processing/data", "other": "/opt/mlflow/data"}
    inputs = [{"InputName": name, "S3Input": {"LocalPath": place}} for name, place in places.items()]
    _processing(root, ProcessingInputs=inputs)

    assert ProcessingJob.load().inputs == {"data": root / "processing/data", "other": Path("/opt/mlflow/data")}


def test_an_input_that_is_not_in_s3_is_none_of_ours(root: Path) -> None:
    feature_store = {"InputName": "features", "DatasetDefinition": {"LocalPath": "/opt/ml/processing/features"}}
    _processing(root, ProcessingInputs=[feature_store, {"InputName": "null", "S3Input": None}])

    assert ProcessingJob.load().inputs == {}


def test_an_input_that_must_be_there_is_missed(root: Path) -> None:
    _processing(root)
    (root / "processing/input/dataset/a.jpg").rename(root / "elsewhere")

    job = ProcessingJob.load()

    with pytest.raises(ConfigurationError, match='input "dataset" is missing or empty'):
        job.input("dataset")
    for name in ("config", "policy"):
        assert job.input(name) is None
        with pytest.raises(ConfigurationError, match=f'no input "{name}"'):
            job.required_input(name)


def test_the_environment_goes_before_the_jobs_definition(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _processing(root)

    job = ProcessingJob.load()

    assert [job.variable(name) for name in ("MAPGATE_ARCHITECTURE", "MAPGATE_OTHER")] == ["ssd", ""]
    monkeypatch.setenv("MAPGATE_ARCHITECTURE", " faster_rcnn ")
    assert job.variable("MAPGATE_ARCHITECTURE") == "faster_rcnn"


def test_missing_job_file_is_bad_input(root: Path) -> None:
    assert run(lambda _: None, TrainingJob) == 2
    assert "inputdataconfig.json is missing" in (root / "output/failure").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "the whole file: Invalid JSON"),
        ("[]", "the whole file: Input should be"),
        ('{"ProcessingInputs": [{"S3Input": {}}]}', "ProcessingInputs.0.InputName: Field required"),
    ],
)
def test_a_job_file_that_is_not_the_platforms_is_bad_input(root: Path, content: str, said: str) -> None:
    (root / "config").mkdir()
    (root / "config/processingjobconfig.json").write_text(content)

    assert run(lambda _: None, ProcessingJob) == 2
    assert f"processingjobconfig.json is not as SageMaker writes it: {said}" in (root / "output/message").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"current_host": "algo-3", "hosts": ["algo-1", "algo-2"]}', "current_host algo-3 is none of hosts algo-1"),
        ('{"current_host": "algo-1"}', "hosts: Field required"),
        ('{"hosts": []}', "current_host: Field required"),
    ],
)
def test_instances_that_are_not_named_are_bad_input(root: Path, content: str, said: str) -> None:
    (root / "resourceconfig.json").write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        read_hosts(root)


def test_the_instances_of_a_job_are_those_that_the_platform_names(root: Path) -> None:
    assert read_hosts(root) is None
    named = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"], "network_interface_name": "eth0"}
    (root / "resourceconfig.json").write_text(json.dumps(named))
    found = read_hosts(root)
    assert found
    assert (found.current_host, found.hosts) == ("algo-2", ("algo-1", "algo-2"))


@pytest.mark.parametrize(
    ("error", "code"),
    [(MapgateError("The loss is not finite."), 1), (DataError("a.", "b."), 2), (ZeroDivisionError("by zero"), 1)],
)
def test_failure_is_left_where_the_platform_looks(root: Path, error: Exception, code: int) -> None:
    _training(root)
    (root / "config").mkdir()
    (root / "config/processingjobconfig.json").write_text("{}")

    def fail(_: TrainingJob | ProcessingJob) -> None:
        raise error

    assert run(fail, TrainingJob) == code
    assert run(fail, ProcessingJob) == code
    assert (root / "output/failure").read_text() == (root / "output/message").read_text()
    assert str(error) in (root / "output/failure").read_text()


def test_a_failure_that_cannot_be_left_hides_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _training(root)
    (root / "output" / "failure").mkdir(parents=True)  # nothing can be written in its place

    def fail(_: object) -> None:
        raise ConfigurationError("The hyperparameter is wrong.")

    assert run(fail, TrainingJob) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "The hyperparameter is wrong."
    assert second.startswith(f"The failure could not be written to {root / 'output' / 'failure'}: ")


def test_long_failure_is_cut_to_what_the_platform_shows(root: Path) -> None:
    _training(root)

    def fail(_: TrainingJob) -> None:
        raise DataError(*["A sentence about a box.\n"] * 200)

    assert run(fail, TrainingJob) == 2
    message = (root / "output/failure").read_text()
    assert len(message) == LONGEST_MESSAGE
    assert "\n" not in message
    assert message.endswith(" ...")


def test_a_message_is_whole_or_absent(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("no space left on device")

    _processing(root)
    job = ProcessingJob.load()
    job.leave_message("The first\nsentence.")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        job.leave_message("The second.")
    assert [file.read_text() for file in (root / "output").iterdir()] == ["The first sentence."]


def test_work_that_succeeds_leaves_no_failure(root: Path) -> None:
    _training(root)

    assert run(lambda _: None, TrainingJob) == 0
    assert not (root / "output").exists()
