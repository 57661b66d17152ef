# SPDX-License-Identifier: Apache-2.0
"""Where no docker is, an image is a copy of its sources, and its manifest says how to start it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from containers.tags import IMAGE_NAMES, ImageName, image_tag
from pipelines.client.connection import Connection
from pipelines.client.images import CHECKOUT, Image, is_pushed, push
from pipelines.errors import BadInputError


@pytest.fixture
def connection() -> Iterator[Connection]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Connection(endpoint_url=f"http://{host}:{port}")
    server.stop()


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_an_image_runs_the_copy_and_not_the_checkout(connection: Connection, name: ImageName, tmp_path: Path) -> None:
    image = Image(name, "registry", f"mapgate-dev-{name}", image_tag(CHECKOUT, name))
    connection.client("ecr").create_repository(repositoryName=image.repository)
    assert not is_pushed(connection, image)

    push(connection, image, accelerator="cpu", home=tmp_path)

    assert is_pushed(connection, image)
    asked = {"repositoryName": image.repository, "imageIds": [{"imageTag": image.tag}]}
    manifest = json.loads(connection.client("ecr").batch_get_image(**asked)["images"][0]["imageManifest"])
    told = {key.rpartition(".")[2]: value for key, value in manifest["annotations"].items()}
    assert Path(told["directory"]).is_relative_to(tmp_path)
    assert image_tag(Path(told["directory"]), name) == image.tag
    program, *arguments = json.loads(told["entrypoint"])
    assert (program, arguments) == ("python", ["-m", f"{name}_src"])
    script = f"import containers.contract, {name}_src; print(containers.contract.__file__, {name}_src.__file__)"
    command = [told["python"], "-c", script]
    ran = subprocess.run(command, cwd=told["directory"], capture_output=True, text=True, check=True)
    assert all(file.startswith(told["directory"]) for file in ran.stdout.split())


def test_another_checkout_than_the_deployed_one_is_refused(connection: Connection, tmp_path: Path) -> None:
    image = Image("training", "registry", "mapgate-dev-training", image_tag(CHECKOUT, "training"))
    with pytest.raises(BadInputError, match="run `cdk deploy --all` from this checkout first"):
        push(connection, replace(image, tag="0" * 16), accelerator="cpu", home=tmp_path)
    assert not list(tmp_path.iterdir())
