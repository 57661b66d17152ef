# SPDX-License-Identifier: Apache-2.0
"""Plays the containers of the tests: a trainer, a processor, a server. What it does, hyperparameters and files say."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

ROOT = Path(os.environ["MAPGATE_ML_ROOT"])


def train() -> int:
    wishes = json.loads((ROOT / "input" / "config" / "hyperparameters.json").read_text())
    print("environment", json.dumps(dict(os.environ)))
    print("arguments", sys.argv[1:])
    data = ROOT / "input" / "data"
    print("files", sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()))
    signal.signal(signal.SIGTERM, lambda *_: save_and_exit(wishes))
    checkpoints = checkpoint_folder()
    checkpoints.mkdir(parents=True, exist_ok=True)
    step = max((int(path.name) for path in checkpoints.iterdir() if path.name.isdigit()), default=0)
    print(f"starts at step={step}", flush=True)
    lose = "lose" in wishes and step == 0
    while step < int(wishes.get("steps", "2")):
        step += 1
        (checkpoints / f"{step}.tmp").write_text("half")
        (checkpoints / f"{step}.tmp").write_text(f"checkpoint {step}")
        (checkpoints / f"{step}.tmp").rename(checkpoints / str(step))
        if "replace" in wishes:
            (checkpoints / str(step - 1)).unlink(missing_ok=True)
        print(f"step={step} loss={1 / step:.4f} mAP=0.{step}", flush=True)
        if lose:
            os.kill(os.getppid(), signal.SIGKILL)  # as when a machine is lost
            time.sleep(60)
        time.sleep(float(wishes.get("pause", "0")))
    if "fail" in wishes:
        (ROOT / "output" / "failure").write_text(wishes["fail"])
        return int(wishes.get("code", "1"))
    if "tensors" in wishes:
        save_tensors()
    save(step)
    return 0


def checkpoint_folder() -> Path:
    told = ROOT / "input" / "config" / "checkpointconfig.json"
    place = json.loads(told.read_text())["LocalPath"] if told.exists() else "/opt/ml/checkpoints"
    within = place.removeprefix("/opt/ml/")
    return ROOT / (within if within != place else f"elsewhere{place}")


def save(step: int) -> None:
    (ROOT / "model" / "weights").write_text(f"weights {step}")
    (ROOT / "output" / "data" / "notes.txt").write_text("notes")
    (ROOT / "output" / "tensorboard").mkdir(exist_ok=True)
    (ROOT / "output" / "tensorboard" / "events").write_text(f"curves of {step} steps")


def save_tensors() -> None:
    told = json.loads((ROOT / "input" / "config" / "debughookconfig.json").read_text())
    print("hook", told)
    folder = ROOT / told["LocalPath"].removeprefix("/opt/ml/")
    folder.mkdir(parents=True)
    (folder / "collections.json").write_text("{}")


def save_and_exit(wishes: dict[str, str]) -> None:
    print("stops", flush=True)
    if "stubborn" not in wishes:
        save(-1)
        sys.exit(0)


def process() -> int:
    configuration = json.loads((ROOT / "config" / "processingjobconfig.json").read_text())
    wishes = configuration["Environment"]
    print("environment", json.dumps(dict(os.environ)), flush=True)
    time.sleep(float(wishes.get("pause", "0")))
    if "fail" in wishes:
        (ROOT / "output" / "message").write_text(wishes["fail"])
        return 1
    for output in configuration["ProcessingOutputConfig"]["Outputs"]:
        path = ROOT / output["S3Output"]["LocalPath"].removeprefix("/opt/ml/")
        (path / "report.json").write_text(json.dumps({"gate": {"passed": wishes.get("passed") != "no", "mAP": 0.7}}))
        (path / "below").mkdir()
        (path / "below" / "text.txt").write_text("text")
        (path / "link").symlink_to(path / "report.json")
    return 0


def serve() -> int:
    if "BROKEN" in os.environ:
        print("cannot load the model", flush=True)
        return 1
    import runpy

    # apart, because what it imports takes longer than most jobs run
    runpy.run_path(str(Path(__file__).with_name("stand_in_server.py")), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit({"train": train, "serve": serve, "process": process}[sys.argv[1]]())
