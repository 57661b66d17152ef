# SPDX-License-Identifier: Apache-2.0
"""`mapgate images push`: the two images, from this checkout to the deployment's repositories.

To AWS they are built and pushed with docker. The laptop's cloud has no docker: there an image is a copy of its source,
and a manifest whose annotations say where it lies and what starts it.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from containers.tags import ImageName, image_tag, sources
from pipelines.errors import BadInputError, WorkFailedError

if TYPE_CHECKING:
    from pipelines.client.connection import Connection
    from pipelines.client.deployment import Deployment

CHECKOUT = Path(__file__).resolve().parents[2]
MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
ANNOTATION = "dev.mapgate.local"


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
    """Whether the repository holds the image's tag."""
    ecr = connection.client("ecr")
    answer = ecr.batch_get_image(repositoryName=image.repository, imageIds=[{"imageTag": image.tag}])
    return bool(answer["images"])


def push(connection: Connection, image: Image, *, accelerator: str, home: Path) -> None:
    """Make the image from this checkout and push it.

    Raises:
        BadInputError: This checkout is not the one that was deployed.
        WorkFailedError: docker failed.
    """
    here = image_tag(CHECKOUT, image.name)
    if here != image.tag:
        raise BadInputError(
            f"{image.name}: this checkout makes tag {here}, but {image.tag} is deployed: "
            "run `cdk deploy --all` from this checkout first"
        )
    if connection.is_emulated:
        _register(connection, image, home)
    else:
        _build_and_push(connection, image, accelerator)


def _register(connection: Connection, image: Image, home: Path) -> None:
    directory = _snapshot(image, home / "images" / image.repository / image.tag)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": _EMPTY_DIGEST},
        "layers": [],
        "annotations": {
            f"{ANNOTATION}.directory": str(directory),
            f"{ANNOTATION}.python": sys.executable,
            f"{ANNOTATION}.entrypoint": json.dumps(["python", "-m", f"{image.name}_src"]),
        },
    }
    connection.client("ecr").put_image(
        repositoryName=image.repository,
        imageTag=image.tag,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=MANIFEST_MEDIA_TYPE,
    )


# The digest of `{}`, OCI's empty descriptor.
_EMPTY_DIGEST = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def _snapshot(image: Image, directory: Path) -> Path:
    """Copy what the image's tag names, so that a later edit does not change what an immutable tag means."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".", dir=directory.parent))
    for path in sources(CHECKOUT, image.name):
        copy = beside / path.relative_to(CHECKOUT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if directory.exists():
        shutil.rmtree(directory)
    return beside.rename(directory).resolve()


def _build_and_push(connection: Connection, image: Image, accelerator: str) -> None:
    if shutil.which("docker") is None:
        raise BadInputError(
            "docker is not installed: it builds the images; install it, or push from a machine that has it"
        )
    authorization = connection.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(authorization["authorizationToken"]).decode().partition(":")
    _docker(["login", "--username", user, "--password-stdin", image.registry], stdin=password)
    arguments = ["--build-arg", f"ACCELERATOR={accelerator}"] if image.name == "training" else []
    dockerfile = CHECKOUT / "containers" / image.name / "Dockerfile"
    platform = ["--platform", "linux/amd64"]
    _docker(["build", *platform, "--file", str(dockerfile), "--tag", image.uri, *arguments, str(CHECKOUT)])
    _docker(["push", image.uri])


def _docker(arguments: list[str], stdin: str | None = None) -> None:
    result = subprocess.run(["docker", *arguments], input=stdin, text=True, check=False)
    if result.returncode:
        raise WorkFailedError(f"docker {arguments[0]} ended with exit code {result.returncode}; its output is above")


def _parse(name: ImageName, uri: str) -> Image:
    registry, _, rest = uri.partition("/")
    repository, _, tag = rest.rpartition(":")
    return Image(name, registry, repository, tag)
