# SPDX-License-Identifier: Apache-2.0
"""How images come into the deployment's repositories: with docker, or as a copy of their sources where none is."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from containers.tags import IMAGE_NAMES, ImageName, image_tag
from localcloud import cloud as local_cloud
from localcloud.pushing import MANIFEST
from pipelines.client.connection import Connection
from pipelines.client.images import CHECKOUT, Image, is_pushed, push
from pipelines.errors import BadInputError, WorkFailedError

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = """#!{python}
import json, sys
from pathlib import Path

folder = Path("{folder}")
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:] == ["buildx", "version"]:
    sys.exit(0 if (folder / "buildx").exists() else 1)
"""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    yield Connection(endpoint_url=local_cloud.up(home).endpoint_url)
    local_cloud.down(home)


@pytest.fixture
def image(connection: Connection, request: pytest.FixtureRequest) -> Image:
    """The training image, in a repository of the test's own whose tags never move."""
    repository = request.node.originalname.replace("_", "-").strip("-")[:60]
    connection.client("ecr").create_repository(repositoryName=repository, imageTagMutability="IMMUTABLE")
    return Image("training", "registry", repository, image_tag(CHECKOUT, "training"))


def put(connection: Connection, image: Image, media_type: str) -> None:
    """An image of somebody else's making under the tag."""
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, "layers": []})
    connection.client("ecr").put_image(
        repositoryName=image.repository, imageTag=image.tag, imageManifest=manifest, imageManifestMediaType=media_type
    )


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_an_image_runs_the_copy_and_not_the_checkout(connection: Connection, name: ImageName, tmp_path: Path) -> None:
    image = Image(name, "registry", f"copy-of-{name}", image_tag(CHECKOUT, name))
    connection.client("ecr").create_repository(repositoryName=image.repository)
    assert not is_pushed(connection, image)

    push(connection, image, accelerator="cpu", home=tmp_path)

    assert is_pushed(connection, image)
    directory = tmp_path.joinpath("images", image.repository, image.tag).resolve()
    assert image_tag(directory, name) == image.tag
    script = f"import containers.contract, {name}_src; print(containers.contract.__file__, {name}_src.__file__)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=directory, capture_output=True, text=True, check=True)
    assert all(file.startswith(str(directory)) for file in ran.stdout.split())


def test_another_checkout_than_the_deployed_one_is_refused(
    connection: Connection, image: Image, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="run `cdk deploy --all` from this checkout first"):
        push(connection, replace(image, tag="0" * 16), accelerator="cpu", home=tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_sagemaker_refuses_counts_as_not_pushed_and_is_replaced(
    connection: Connection, image: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(connection, image, OCI)
    assert not is_pushed(connection, image)

    push(connection, image, accelerator="cpu", home=tmp_path)

    assert is_pushed(connection, image)
    assert f"is there as {OCI}, which SageMaker refuses: it is deleted and pushed anew" in capsys.readouterr().err


class AWS:
    """A connection to an account: not emulated, its ECR the emulated one, where a push of docker's arrives by hand."""

    is_emulated = False

    def __init__(self, connection: Connection, image: Image, media_type: str) -> None:
        self._connection, self._image, self._media_type = connection, image, media_type

    def client(self, _: str) -> Any:
        return self

    def get_authorization_token(self) -> dict[str, Any]:
        if not is_pushed(self._connection, self._image):
            put(self._connection, self._image, self._media_type)
        return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:secret").decode()}]}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.client("ecr"), name)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that writes its arguments down; it has buildx where the file `buildx` lies beside them."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER.replace("{python}", sys.executable).replace("{folder}", str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return tmp_path


def calls_of(docker: Path) -> list[list[str]]:
    return [json.loads(line) for line in (docker / "calls.jsonl").read_text().splitlines()]


def test_buildx_makes_neither_attestations_nor_a_manifest_of_ocis(
    connection: Connection, image: Image, docker: Path
) -> None:
    (docker / "buildx").touch()

    push(AWS(connection, image, MANIFEST), image, accelerator="gpu", home=docker)  # type: ignore[arg-type]

    _, build, login, pushed = calls_of(docker)
    assert build[:2] == ["buildx", "build"]
    assert {"--provenance=false", "--sbom=false", "linux/amd64", "ACCELERATOR=gpu"} <= {*build}
    assert build[build.index("--output") + 1] == f"type=image,name={image.uri},oci-mediatypes=false"
    assert login[-1] == "registry" and "secret" not in login
    assert pushed == ["push", image.uri]


def test_an_engine_without_buildx_builds_by_itself(connection: Connection, image: Image, docker: Path) -> None:
    push(AWS(connection, image, MANIFEST), image, accelerator="cpu", home=docker)  # type: ignore[arg-type]

    _, build, *_ = calls_of(docker)
    assert build[0] == "build"
    assert {"linux/amd64", "ACCELERATOR=cpu", image.uri} <= {*build}
    assert not [argument for argument in build if "provenance" in argument or "oci" in argument]


def test_what_was_pushed_is_read_back(connection: Connection, image: Image, docker: Path) -> None:
    with pytest.raises(WorkFailedError, match=f"was pushed as {OCI}, which SageMaker refuses".replace("+", r"\+")):
        push(AWS(connection, image, OCI), image, accelerator="cpu", home=docker)  # type: ignore[arg-type]
