# SPDX-License-Identifier: Apache-2.0
"""`mapgate images push`: the pre-trained detector goes into the training image where it can be had."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containers.tags import IMAGE_NAMES, image_tag
from localcloud import cloud as local_cloud
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.images import CHECKOUT
from pipelines.zoo import pretrained

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    yield local_cloud.up(home).endpoint_url
    local_cloud.down(home)


@pytest.fixture
def push(url: str, typed: Mapgate, request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command against a deployment of the test's own, whose repositories are empty."""
    project = request.node.name.replace("_", "-")[-30:].strip("-")
    connection = Connection(endpoint_url=url)
    values = dict.fromkeys(Deployment.__dataclass_fields__, "named")
    for name in IMAGE_NAMES:
        connection.client("ecr").create_repository(repositoryName=f"{project}-{name}")
        values[f"{name}_image"] = f"registry/{project}-{name}:{image_tag(CHECKOUT, name)}"
    for field, value in values.items():
        parameter = f"/{project}-dev/{field.replace('_', '-')}"
        connection.client("ssm").put_parameter(Name=parameter, Value=value, Type="String")
    return lambda *words: typed("--endpoint-url", url, "--project", project, "images", "push", *words)


@pytest.fixture
def held(tmp_path: Path) -> Callable[[], list[str]]:
    """Gives the detectors that the pushed training image holds."""
    return lambda: [path.name for path in (tmp_path / ".mapgate/images").glob("*-training/*/pretrained/*/")]


def test_a_detector_that_is_here_goes_into_the_image(
    push: Mapgate, held: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pretrained.pinned().model_copy(update={"checkpoint_sha256": hashlib.sha256(b"weights").hexdigest()})
    (tmp_path / "pretrained.json").write_text(source.model_dump_json())
    monkeypatch.setattr(pretrained, "PINNED", tmp_path / "pretrained.json")
    folder = tmp_path / ".mapgate" / "zoo" / source.name
    for file in (pretrained.DATA, *pretrained.FILES):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("weights")
    (folder / "source.json").write_text(source.model_dump_json())

    done = push()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("pushed") == 2
    assert held() == [source.name]
    again = push()
    assert (again.returncode, again.stderr, again.stdout.count("was there")) == (0, "", 2)


def test_without_npm_one_sentence_says_so_and_the_image_goes_without(
    push: Mapgate,
    nowhere: dict[str, str],
    held: Callable[[], list[str]],
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    nowhere["npm_config_registry"] = f"http://127.0.0.1:{free_port()}"
    nowhere["npm_config_cache"] = str(tmp_path / "npm-cache")

    done = push()

    assert done.returncode == 0
    (sentence,) = done.stderr.strip().splitlines()
    assert "this needs the network" in sentence
    assert "the training image goes without the pre-trained detector" in sentence
    assert done.stdout.count("pushed") == 2
    assert held() == []


def test_whoever_wants_none_asks_nobody(push: Mapgate, held: Callable[[], list[str]]) -> None:
    done = push("--no-pretrained")
    assert (done.returncode, done.stderr) == (0, "")
    assert held() == []
