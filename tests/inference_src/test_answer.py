# SPDX-License-Identifier: Apache-2.0
"""One picture and a model here: the real server is started, answers once, and is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from pipelines.client.locked_environment import make_environment

ROOT = Path(__file__).parents[2]


def command(model: Path, picture: Path) -> list[str]:
    return [sys.executable, "-m", "inference_src", "answer", str(model), str(picture)]


def ask(model: Path, picture: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(model, picture), cwd=ROOT, capture_output=True, text=True, check=False)


def servers_of(process: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    children = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


@pytest.fixture
def photograph(tmp_path: Path, jpeg: bytes) -> Path:
    (tmp_path / "photograph.jpg").write_bytes(jpeg)
    return tmp_path / "photograph.jpg"


@pytest.fixture
def archive(tmp_path: Path, model_dir: Path) -> Path:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, ".")
    return tmp_path / "model.tar.gz"


def test_an_archive_and_its_folder_answer_the_same(archive: Path, model_dir: Path, photograph: Path) -> None:
    packed, unpacked = ask(archive, photograph), ask(model_dir, photograph)

    assert (packed.returncode, unpacked.returncode) == (0, 0), packed.stderr
    told = json.loads(packed.stdout)
    assert told == json.loads(unpacked.stdout)
    assert [told["labels"][int(index)] for index in told["classes"]] == ["vehicle", "pedestrian", "cyclist"]
    assert packed.stderr == ""


# TensorFlow takes seconds to start.
@pytest.mark.verify
def test_a_model_without_the_fast_form_answers_too(copied_model: Path, photograph: Path) -> None:
    described = json.loads((copied_model / "model.json").read_text())
    del described["runtimes"]["openvino"]
    (copied_model / "model.json").write_text(json.dumps(described))

    assert ask(copied_model, photograph).returncode == 0


def test_a_model_that_needs_tensorflow_is_named_where_there_is_none(
    copied_model: Path, photograph: Path, tmp_path: Path
) -> None:
    described = json.loads((copied_model / "model.json").read_text())
    del described["runtimes"]["openvino"]
    (copied_model / "model.json").write_text(json.dumps(described))
    python = make_environment(tmp_path / "environment", ROOT / "containers/inference/requirements.cpu.txt")

    asked = [str(python), *command(copied_model, photograph)[1:]]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    told = f"{copied_model}: the model has tensorflow, this image runs openvino and openvino-int8: serve the model with"
    assert done.stderr.startswith(told) and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda model: (model / "model.json").unlink(), "there is no model.json in it"),
        (lambda model: (model / "model.json").write_text("{}"), "model.json: schema_version: Field required"),
    ],
)
def test_what_is_no_model_is_named_as_it_was_given(
    copied_model: Path, photograph: Path, break_it: object, told: str
) -> None:
    assert callable(break_it)
    break_it(copied_model)
    done = ask(copied_model, photograph)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{copied_model}") and told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_hostile_archive_is_refused_and_writes_nothing(tmp_path: Path, photograph: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside"))
    done = ask(tmp_path / "bad.tar.gz", photograph)

    assert (done.returncode, done.stdout) == (2, "")
    assert "'../outside' leads out of the archive's folder" in done.stderr
    assert not (tmp_path / "outside").exists()


def test_an_archive_of_something_else_is_named(tmp_path: Path, photograph: Path) -> None:
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as tar:
        tar.add(photograph, "photograph.jpg")
    done = ask(tmp_path / "other.tar.gz", photograph)

    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path / 'other.tar.gz'}: there is no model.json in it")


def test_the_server_says_what_is_wrong_with_a_picture(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    done = ask(model_dir, tmp_path / "notes.txt")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{tmp_path / 'notes.txt'}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_stopped_leaves_no_server(model_dir: Path, photograph: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        command(model_dir, photograph),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has its background commands ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (servers := servers_of(process.pid)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)

    assert process.returncode in (1, 130)
    assert "Traceback" not in said
    (server,) = servers
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
