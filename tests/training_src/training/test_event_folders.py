# SPDX-License-Identifier: Apache-2.0
"""Where TensorBoard's events go, by what a job says."""

import json
from pathlib import Path

import pytest

from containers.contract.job import TrainingJob
from training_src.training.event_folders import event_folders

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
    found = event_folders(job(tmp_path, model_dir, local_path))
    assert [str(folder.relative_to(tmp_path)) for folder in found] == folders
    assert all(folder.is_dir() and not any(folder.iterdir()) for folder in found)


def test_a_folder_that_cannot_be_written_is_said_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = job(tmp_path, "/opt/training")
    (tmp_path / "elsewhere").write_text("a file")
    assert event_folders(made) == [tmp_path / OURS]
    assert "opt/training cannot be written, so TensorBoard's events are not there: " in capsys.readouterr().out
