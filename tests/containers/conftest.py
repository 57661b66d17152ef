# SPDX-License-Identifier: Apache-2.0
"""A docker engine, both images built with it, and containers run on folders that are root's, as SageMaker's are.

Where no engine is, `../shared/tools/docker-up` may make one; else these tests skip and say why, as they do with
`MAPGATE_SKIP_CONTAINERS=1`. Built images stay under their content's tag, so a second run builds nothing.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from containers.tags import IMAGE_NAMES, ImageName, image_tag, repository_name

ROOT = Path(__file__).parents[2]
DOCKER_UP = ROOT.parent / "shared/tools/docker-up"
BUILD_SECONDS = 1200
HARDENED = (
    "--read-only",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
    "--memory",
    "3g",
)


@dataclass
class Engine:
    """A docker engine with both images, and the containers that were started with it."""

    docker: str
    images: dict[ImageName, str]
    containers: list[str] = field(default_factory=list)

    def run(self, name: ImageName, *arguments: str, ml: Path, options: tuple[str, ...] = ()) -> tuple[int, str]:
        """Run a job to its end without network; give its exit code and what it said."""
        command = [self.docker, "run", "--rm", *HARDENED, "--network", "none", "-v", f"{ml}:/opt/ml", *options]
        done = subprocess.run([*command, self.images[name], *arguments], capture_output=True, text=True, timeout=600)
        print(done.stdout, done.stderr)
        return done.returncode, done.stdout + done.stderr

    def start(self, name: ImageName, *arguments: str, options: tuple[str, ...]) -> str:
        """Start a container and give its id."""
        container = self.ask("run", "--detach", *HARDENED, *options, self.images[name], *arguments)
        self.containers.append(container)
        return container

    def give_to_root(self, ml: Path) -> None:
        """Make a folder as SageMaker mounts it: root's, and written by nobody else."""
        script = "chown -R 0:0 /opt/ml && chmod -R u=rwX,go=rX /opt/ml"
        self.ask("run", "--rm", "-v", f"{ml}:/opt/ml", "--entrypoint", "sh", self.images["training"], "-c", script)

    def ask(self, *arguments: str) -> str:
        """Run a docker command and give what it prints."""
        return subprocess.run([self.docker, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    docker = _docker()
    images: dict[ImageName, str] = {}
    for name in IMAGE_NAMES:
        images[name] = f"{repository_name('mapgate-test', name)}:{image_tag(ROOT, name)}"
        _build(docker, name, images[name])
    engine = Engine(docker, images)
    yield engine
    if engine.containers:
        subprocess.run([docker, "rm", "--force", "--volumes", *engine.containers], check=False, capture_output=True)


def _docker() -> str:
    if os.environ.get("MAPGATE_SKIP_CONTAINERS"):
        pytest.skip("MAPGATE_SKIP_CONTAINERS is set")
    if not _engines() and DOCKER_UP.exists() and os.geteuid() == 0:
        made = subprocess.run([DOCKER_UP], capture_output=True, text=True, timeout=600)
        if made.returncode:
            pytest.skip(f"no docker engine, and docker-up failed: {made.stderr.strip()[-300:]}")
    if not _engines():
        pytest.skip("no docker engine answers here: the images are neither built nor run")
    return _engines()[0]


def _engines() -> list[str]:
    """Give the docker clients whose engine answers; the system's own comes first."""
    found = [path for path in ("/usr/bin/docker", shutil.which("docker")) if path and Path(path).exists()]
    return [path for path in found if subprocess.run([path, "info"], capture_output=True).returncode == 0]


def _build(docker: str, name: str, tag: str) -> None:
    if subprocess.run([docker, "image", "inspect", tag], capture_output=True).returncode == 0:
        return
    command = [docker, "build", "--file", f"containers/{name}/Dockerfile", "--tag", tag, "."]
    environment = os.environ | {"DOCKER_BUILDKIT": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert built.returncode == 0, built.stderr[-3000:]


@pytest.fixture(scope="session")
def processing_job(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make the /opt/ml of a processing job: inputs are folders to copy, or None for an optional one not given."""

    def make(inputs: dict[str, Path | None], outputs: list[str], **environment: str) -> Path:
        ml = tmp_path_factory.mktemp("ml")
        for name, source in inputs.items():
            _fill(ml / "processing/input" / name, source)
        config = {
            "ProcessingInputs": [
                {"InputName": name, "S3Input": {"LocalPath": f"/opt/ml/processing/input/{name}"}} for name in inputs
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {"OutputName": name, "S3Output": {"LocalPath": f"/opt/ml/processing/output/{name}"}}
                    for name in outputs
                ]
            },
            "Environment": environment,
        }
        for name in outputs:
            (ml / "processing/output" / name).mkdir(parents=True)
        _write_json(ml / "config/processingjobconfig.json", config)
        engine.give_to_root(ml)
        return ml

    return make


@pytest.fixture(scope="session")
def training_job(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make the /opt/ml of a training job, channels as the inputs above."""

    def make(channels: dict[str, Path | None], **hyperparameters: str) -> Path:
        ml = tmp_path_factory.mktemp("ml")
        for name, source in channels.items():
            _fill(ml / "input/data" / name, source)
        modes = {name: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"} for name in channels}
        _write_json(ml / "input/config/inputdataconfig.json", modes)
        _write_json(ml / "input/config/hyperparameters.json", hyperparameters)
        _write_json(ml / "input/config/resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"]})
        for folder in ("model", "output", "checkpoints"):
            (ml / folder).mkdir()
        engine.give_to_root(ml)
        return ml

    return make


def _fill(folder: Path, source: Path | None) -> None:
    if source is None:
        folder.mkdir(parents=True)
        (folder / "none").write_text("none\n")
    else:
        shutil.copytree(source, folder)


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
