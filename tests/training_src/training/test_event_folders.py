# SPDX-License-Identifier: Apache-2.0
"""Where TensorBoard's events go, by what a job says."""

import json
from pathlib import Path

import numpy as np
import pytest
from tensorflow.compat.v1.train import summary_iterator

from containers.contract.job import TrainingJob
from training_src.training.event_folders import event_folders
from training_src.training.progress_report import ProgressReport

OURS = "output/tensorboard"


def job(root: Path, model_dir: str = "", local_path: str | None = None) -> TrainingJob:
    config = root / "input" / "config"
    config.mkdir(parents=True)
    if local_path is not None:
        told = {"S3OutputPath": "s3://bucket/tensorboard", **({"LocalPath": local_path} if local_path else {})}
        (config / "tensorboardoutputconfig.json").write_text(json.dumps(told))
    return TrainingJob(root, {"model_dir": json.dumps(model_dir)} if model_dir else {}, {})


@pytest.mark.parametrize(
    ("model_dir", "local_path", "folders"),
    [
        ("", None, [OURS]),
        ("", "", [OURS]),
        ("/opt/ml/model", None, [OURS]),
        ("s3://bucket/job/model", None, [OURS]),
        ("/opt/training", None, [OURS, "elsewhere/opt/training"]),
        ("/opt/training", "/opt/training/", [OURS, "elsewhere/opt/training"]),
        ("/opt/ml/model", "/opt/training/", [OURS, "elsewhere/opt/training"]),
        ("", "/opt/ml/output/tb", [OURS, "output/tb"]),
        ("/opt/training/../ml/model", None, [OURS]),
        ("/../../etc/training", None, [OURS, "elsewhere/etc/training"]),
        # What lies there becomes the model.
        ("", "/opt/ml/model", [OURS]),
    ],
)
def test_events_go_where_the_jobs_settings_look(
    tmp_path: Path, model_dir: str, local_path: str | None, folders: list[str]
) -> None:
    ours, *others = event_folders(job(tmp_path, model_dir, local_path))
    assert ours.training == ours.validation == tmp_path / OURS
    assert [OURS, *(str(folder.training.parent.relative_to(tmp_path)) for folder in others)] == folders
    assert all(folder.training.parent.is_dir() for folder in others)


def test_what_a_notebook_shows_lies_where_the_apis_script_has_it(tmp_path: Path) -> None:
    """`tensorboard --logdir ARTIFACTS/train`, and `ARTIFACTS/eval`, are cells of AWS's blog."""
    told = event_folders(job(tmp_path, "/opt/training", "/opt/training/"))
    report = ProgressReport(told, 10)
    report.training(1, {"loss": 1.0, "classification_loss": 1.0, "localization_loss": 0.0, "learning_rate": 0.1,
                        "images_per_second": 2.0}, None)  # fmt: skip
    report.validation(1, {"mAP": 0.5, "mAP_50": 0.5}, [np.zeros((8, 8, 3), np.uint8)])
    found = {}
    for file in sorted(tmp_path.rglob("events.out.tfevents.*")):
        values = [value for event in summary_iterator(str(file)) for value in event.summary.value]
        found[str(file.parent.relative_to(tmp_path))] = {value.tag for value in values}
    curves = {f"train/{name}" for name in ("loss", "classification_loss", "localization_loss", "learning_rate",
                                           "images_per_second")}  # fmt: skip
    judged = {"validation/mAP", "validation/mAP_50", "validation/0"}
    assert found == {
        OURS: curves | judged, "elsewhere/opt/training/train": curves, "elsewhere/opt/training/eval": judged
    }  # fmt: skip


def test_a_folder_that_cannot_be_written_is_said_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = job(tmp_path, "/opt/training")
    (tmp_path / "elsewhere").write_text("a file")
    assert [folder.training for folder in event_folders(made)] == [tmp_path / OURS]
    assert "opt/training cannot be written, so TensorBoard's events are not there: " in capsys.readouterr().out
