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

from containers.tags import IMAGE_NAMES, Accelerator, ImageName, image_tag, sources
from localcloud import cloud as local_cloud
from localcloud import pushing
from localcloud.pushing import MANIFEST
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.images import CHECKOUT, Image, is_pushed, push, push_missing
from pipelines.errors import BadInputError, WorkFailedError

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = """#!{python}
import json, sys
from pathlib import Path

folder = Path("{folder}")
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if "--file" in sys.argv:
    seen = (path for path in Path(sys.argv[-1]).rglob("*") if path.is_file())
    (folder / "seen.json").write_text(json.dumps(sorted(str(path.relative_to(sys.argv[-1])) for path in seen)))
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


def test_a_server_sees_here_what_its_image_has(
    connection: Connection, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remembered(*arguments: Any, **named: Any) -> None:
        started.update(named)
        pushed(*arguments, **named)

    started: dict[str, Any] = {}
    pushed = pushing.push
    monkeypatch.setattr(pushing, "push", remembered)
    script = "import sys; from importlib.util import find_spec; print(*filter(find_spec, sys.argv[1:]))"
    sought = ["openvino", "pydantic", "tensorflow", "keras", "boto3"]
    seen: dict[Accelerator, str] = {"cpu": "openvino pydantic", "gpu": " ".join(sought)}
    for accelerator, expected in seen.items():
        serving = replace(image, name="inference", tag=image_tag(CHECKOUT, "inference", accelerator))
        push(connection, serving, accelerator="cpu", home=tmp_path)
        command = [started["python"], "-c", script, *sought]
        ran = subprocess.run(command, cwd=started["directory"], env={}, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == expected


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    """A pre-trained detector as `mapgate zoo fetch` keeps it."""
    folder = tmp_path / "zoo" / "ssd_mobilenet_v2_street"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "ckpt-0.index").write_text("index")
    return folder


def test_the_training_images_copy_holds_the_pretrained_detector(
    connection: Connection, image: Image, detector: Path, tmp_path: Path
) -> None:
    push(connection, image, accelerator="cpu", home=tmp_path, pretrained=detector)

    directory = tmp_path / "images" / image.repository / image.tag
    held = [str(path.relative_to(directory)) for path in sorted((directory / "pretrained").rglob("*"))]
    assert held == [
        "pretrained/pretrained.json",
        "pretrained/ssd_mobilenet_v2_street",
        "pretrained/ssd_mobilenet_v2_street/checkpoint",
        "pretrained/ssd_mobilenet_v2_street/checkpoint/ckpt-0.index",
    ]
    assert image_tag(directory, "training") == image.tag
    # What is fetched later is none of the image's.
    (detector / "checkpoint" / "ckpt-0.index").write_text("another")
    assert (directory / "pretrained" / detector.name / "checkpoint" / "ckpt-0.index").read_text() == "index"


def test_a_copy_without_the_detector_says_what_it_would_be(
    connection: Connection, image: Image, tmp_path: Path
) -> None:
    push(connection, image, accelerator="cpu", home=tmp_path)
    pretrained = tmp_path / "images" / image.repository / image.tag / "pretrained"
    assert [path.name for path in pretrained.iterdir()] == ["pretrained.json"]


def test_the_detector_is_asked_for_only_where_the_training_image_is_missing(
    connection: Connection, image: Image, detector: Path, tmp_path: Path
) -> None:
    inference = Image("inference", "registry", image.repository, image_tag(CHECKOUT, "inference"))
    named = {"training_image": image.uri, "inference_image": inference.uri}
    deployment = Deployment(**{name: named.get(name, "named") for name in Deployment.__dataclass_fields__})
    asked: list[str] = []

    def pretrained() -> Path:
        asked.append("npm")
        return detector

    for expected in (True, False):
        pushed = push_missing(connection, deployment, accelerator="cpu", home=tmp_path, pretrained=pretrained)
        assert [new for _, new in pushed] == [expected, expected]
    assert asked == ["npm"]
    assert (tmp_path / "images" / image.repository / image.tag / "pretrained" / detector.name).is_dir()
    assert not (tmp_path / "images" / image.repository / inference.tag / "pretrained").exists()


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


def test_the_inference_image_is_built_for_what_its_tag_says(connection: Connection, image: Image, docker: Path) -> None:
    accelerators: tuple[Accelerator, ...] = ("cpu", "gpu")
    for accelerator in accelerators:
        serving = replace(image, name="inference", tag=image_tag(CHECKOUT, "inference", accelerator))
        push(AWS(connection, serving, MANIFEST), serving, accelerator="gpu", home=docker)  # type: ignore[arg-type]
        assert f"ACCELERATOR={accelerator}" in calls_of(docker)[-3]


def test_the_build_sees_what_the_tag_names_and_the_pretrained_detector(
    connection: Connection, image: Image, docker: Path, detector: Path
) -> None:
    aws: Any = AWS(connection, image, MANIFEST)
    named = {str(path.relative_to(CHECKOUT)) for path in sources(CHECKOUT, "training")} | {"pretrained/pretrained.json"}
    for pretrained, held in ((detector, {f"pretrained/{detector.name}/checkpoint/ckpt-0.index"}), (None, set[str]())):
        push(aws, image, accelerator="cpu", home=docker, pretrained=pretrained)

        assert {*json.loads((docker / "seen.json").read_text())} == named | held
        *_, build, _, _ = calls_of(docker)
        assert build[build.index("--file") + 1] == f"{build[-1]}/containers/training/Dockerfile"
        assert not Path(build[-1]).exists()


def test_what_was_pushed_is_read_back(connection: Connection, image: Image, docker: Path) -> None:
    with pytest.raises(WorkFailedError, match=f"was pushed as {OCI}, which SageMaker refuses".replace("+", r"\+")):
        push(AWS(connection, image, OCI), image, accelerator="cpu", home=docker)  # type: ignore[arg-type]
