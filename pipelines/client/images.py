# SPDX-License-Identifier: Apache-2.0
"""`mapgate images push`: the two images, from this checkout to the deployment's repositories.

To AWS they are built and pushed with docker. The laptop's cloud has no docker: there an image is a copy of its source,
and a configuration that says where it lies and what starts it.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from containers.tags import ImageName, accelerator_of, image_tag, sources
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.locked_environment import make_environment
from pipelines.errors import BadInputError, WorkFailedError

CHECKOUT = Path(__file__).resolve().parents[2]

PRETRAINED = "pretrained"
"""The training image's folder for weights, beside `training_src`."""
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
"""The media type of a manifest that SageMaker takes."""


@dataclass(frozen=True)
class Image:
    """An image of the deployment: `<registry>/<repository>:<tag>`."""

    name: ImageName
    registry: str
    repository: str
    tag: str

    @property
    def uri(self) -> str:
        """The URI that a job names."""
        return f"{self.registry}/{self.repository}:{self.tag}"


def images_of(deployment: Deployment) -> list[Image]:
    """The two images that the deployment's pipeline names."""
    return [_parse("training", deployment.training_image), _parse("inference", deployment.inference_image)]


def is_pushed(connection: Connection, image: Image) -> bool:
    """Whether the repository holds the image's tag with a manifest that SageMaker takes."""
    return _media_type(connection, image) == MANIFEST


def holds_pretrained(image: Image, home: Path) -> bool:
    """Whether the training image of the laptop's cloud holds the pre-trained detector."""
    return any(_snapshot_place(image, home).glob(f"{PRETRAINED}/*/checkpoint"))


def push_missing(
    connection: Connection,
    deployment: Deployment,
    *,
    accelerator: str,
    home: Path,
    pretrained: Callable[[], Path | None] = lambda: None,
) -> Iterator[tuple[Image, bool]]:
    """Push the images whose tags are missing; each, and whether it was pushed now.

    Args:
        pretrained: Asked for the pre-trained detector's folder where the training image is missing.
    """
    for image in images_of(deployment):
        missing = not is_pushed(connection, image)
        if missing:
            held = pretrained() if image.name == "training" else None
            push(connection, image, accelerator=accelerator, home=home, pretrained=held)
        yield image, missing


def push(connection: Connection, image: Image, *, accelerator: str, home: Path, pretrained: Path | None = None) -> None:
    """Make the image from this checkout and push it, in the place of one whose manifest SageMaker does not take.

    Args:
        pretrained: The folder of the detector that the training image is to hold; None where it is to hold none.

    Raises:
        BadInputError: This checkout is not the one that was deployed.
        WorkFailedError: docker failed, or what it pushed has another manifest after all.
    """
    here = image_tag(CHECKOUT, image.name, accelerator_of(image.tag))
    if here != image.tag:
        raise BadInputError(
            f"{image.name}: this checkout makes tag {here}, but {image.tag} is deployed: "
            "run `cdk deploy --all` from this checkout first"
        )
    if connection.is_emulated:
        directory = _snapshot(image, _snapshot_place(image, home), pretrained)
        _delete_refused(connection, image)
        _push_stand_in(connection, image, directory)
    else:
        with tempfile.TemporaryDirectory(prefix="image-") as folder:
            _build(image, accelerator, _snapshot(image, Path(folder, "context"), pretrained))
        _delete_refused(connection, image)
        _push_built(connection, image)
        pushed = _media_type(connection, image)
        if pushed != MANIFEST:
            raise WorkFailedError(
                f"{image.uri} was pushed as {pushed}, which SageMaker refuses: build with docker's buildx, or with "
                "the containerd image store switched off"
            )


def _media_type(connection: Connection, image: Image) -> str | None:
    """That of the manifest in the repository; None where the tag is not there."""
    ecr = connection.client("ecr")
    answer = ecr.batch_get_image(repositoryName=image.repository, imageIds=[{"imageTag": image.tag}])
    return str(answer["images"][0]["imageManifestMediaType"]) if answer["images"] else None


def _delete_refused(connection: Connection, image: Image) -> None:
    """Make room: no tag of these repositories moves, but what SageMaker refuses is of no use to anybody."""
    found = _media_type(connection, image)
    if found in (None, MANIFEST):
        return
    print(f"{image.uri} is there as {found}, which SageMaker refuses: it is deleted and pushed anew", file=sys.stderr)
    deleted = connection.client("ecr").batch_delete_image(
        repositoryName=image.repository, imageIds=[{"imageTag": image.tag}]
    )
    if deleted["failures"]:
        raise WorkFailedError(f"{image.uri} could not be deleted: {deleted['failures'][0]['failureReason']}")


def _push_stand_in(connection: Connection, image: Image, directory: Path) -> None:
    from localcloud import pushing  # not every machine that pushes to AWS has the laptop's cloud

    dockerfile = _dockerfile(image).read_text()
    pushing.push(
        connection.client("ecr"),
        image.repository,
        image.tag,
        directory=directory,
        python=str(_python(image, directory)),
        entrypoint=json.loads(_instruction(dockerfile, "ENTRYPOINT")),
        user=_instruction(dockerfile, "USER"),
    )


def _python(image: Image, directory: Path) -> Path:
    """The interpreter of a stand-in: the server's sees what its image has, so that what serves here serves there.

    What only an accelerator needs no laptop has: the image for GPUs takes all that is installed here, as training does.
    """
    if image.name == "training" or accelerator_of(image.tag) == "gpu":
        return Path(sys.executable)
    return make_environment(directory / ".venv", _dockerfile(image).with_name("requirements.cpu.txt"))


def _dockerfile(image: Image) -> Path:
    return CHECKOUT / "containers" / image.name / "Dockerfile"


def _instruction(dockerfile: str, name: str) -> str:
    """What the last such instruction says; "" where there is none."""
    *_, last = ["", *re.findall(rf"^{name} +(.*)$", dockerfile, re.MULTILINE)]
    return str(last)


def _snapshot_place(image: Image, home: Path) -> Path:
    return home / "images" / image.repository / image.tag


def _snapshot(image: Image, directory: Path, pretrained: Path | None) -> Path:
    """Copy what the image's tag names, so that a later edit does not change what an immutable tag means.

    The training image's weights are pinned there, and come from elsewhere: they lie in `pretrained`, beside their pin.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".", dir=directory.parent))
    for path in sources(CHECKOUT, image.name):
        copy = beside / path.relative_to(CHECKOUT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if image.name == "training":
        (beside / PRETRAINED).mkdir()
        shutil.copy(_dockerfile(image).with_name("pretrained.json"), beside / PRETRAINED)
    if pretrained is not None:
        shutil.copytree(pretrained, beside / PRETRAINED / pretrained.name)
    if directory.exists():
        shutil.rmtree(directory)
    return beside.rename(directory).resolve()


def _build(image: Image, accelerator: str, context: Path) -> None:
    """Build into the engine's store, for SageMaker's processors and with a manifest that SageMaker takes.

    Without attestations, which would make an index of the manifest, and with docker's media types; an engine that has
    no buildx knows neither.
    """
    if shutil.which("docker") is None:
        raise BadInputError(
            "docker is not installed: it builds the images; install it, or push from a machine that has it"
        )
    command = ["build"]
    name = ["--tag", image.uri]
    if subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0:
        command = ["buildx", "build", "--builder", "default", "--provenance=false", "--sbom=false"]
        name = ["--output", f"type=image,name={image.uri},oci-mediatypes=false"]
    built_for = accelerator if image.name == "training" else accelerator_of(image.tag)
    arguments = ["--build-arg", f"ACCELERATOR={built_for}"]
    platform = ["--platform", "linux/amd64"]
    dockerfile = context / _dockerfile(image).relative_to(CHECKOUT)
    _docker([*command, *platform, "--file", str(dockerfile), *name, *arguments, str(context)])


def _push_built(connection: Connection, image: Image) -> None:
    authorization = connection.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(authorization["authorizationToken"]).decode().partition(":")
    _docker(["login", "--username", user, "--password-stdin", image.registry], stdin=password)
    _docker(["push", image.uri])


def _docker(arguments: list[str], stdin: str | None = None) -> None:
    # Without BuildKit, an older engine would not know which files an image's build may see.
    environment = {"DOCKER_BUILDKIT": "1", **os.environ}
    result = subprocess.run(["docker", *arguments], input=stdin, text=True, check=False, env=environment)
    if result.returncode:
        raise WorkFailedError(f"docker {arguments[0]} ended with exit code {result.returncode}; its output is above")


def _parse(name: ImageName, uri: str) -> Image:
    registry, _, rest = uri.partition("/")
    repository, _, tag = rest.rpartition(":")
    return Image(name, registry, repository, tag)
