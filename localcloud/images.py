# SPDX-License-Identifier: Apache-2.0
"""Container images: what the configuration of a pushed image says is to be started in its stead."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.clients import REGION
from localcloud.dispatch import Call, state_lock
from localcloud.layers import layer
from localcloud.pushing import PYTHON

ROOT_USERS = ("", "0", "0:0", "root", "root:root")


class ImageError(Exception):
    """An image that cannot be started; the message says what to do."""


@dataclass(frozen=True)
class PushedImage:
    """What `mapgate images push` registered.

    Attributes:
        uri: As it was asked for.
        digest: Of its manifest, `sha256:...`.
        directory: Absolute; the working directory.
        python: The interpreter that stands for `python`.
        entrypoint: The image's ENTRYPOINT.
    """

    uri: str
    digest: str
    directory: Path
    python: str
    entrypoint: tuple[str, ...]

    def command(self, arguments: Sequence[str] = (), entrypoint: Sequence[str] | None = None) -> list[str]:
        """The command line, with `entrypoint` instead of the image's own if given, as docker has it."""
        program, *rest = [*(entrypoint or self.entrypoint), *arguments]
        return [self.python if program in ("python", "python3") else program, *rest]


def media_type(uri: str) -> str | None:
    """The media type of an image's manifest; None where there is no such image in ECR."""
    try:
        return str(_find(uri, REGION)[1].image_manifest_media_type)
    except ImageError:
        return None


def resolve(uri: str, region: str) -> PushedImage:
    """The image behind an ECR URI with a tag or digest.

    Args:
        uri: `<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>` or `...@sha256:...`.
        region: Where the caller runs; images are pulled from their own region.

    Raises:
        ImageError: There is no such image, it was not pushed for this cloud, or it could not write its job's folders.
    """
    call, found = _find(uri, region)
    digest = json.loads(found.image_manifest).get("config", {}).get("digest", "")
    content = layer(call, found.repository_name, digest)
    config = json.loads(content or b"{}").get("config") or {}
    python = (config.get("Labels") or {}).get(PYTHON)
    if not python:
        raise ImageError(f"Image {uri} has no label {PYTHON}. Push it with `mapgate images push`.")
    if config.get("User", "") not in ROOT_USERS:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/adapt-training-container.html
        raise ImageError(
            f"Image {uri} runs as user {config['User']}, but SageMaker's folders below /opt/ml are root's: it could "
            "write neither model nor outputs. Remove USER from its Dockerfile."
        )
    directory = Path(config["WorkingDir"])
    if not directory.is_dir():
        raise ImageError(f"Image {uri} lay at {directory}, which is gone. Run `mapgate images push`.")
    return PushedImage(uri, found.get_image_digest(), directory, python, tuple(config["Entrypoint"]))


def _find(uri: str, region: str) -> tuple[Call, Any]:
    """moto's image, and a call to where it lies."""
    match = _URI.fullmatch(uri)
    if not match:
        raise ImageError(f"{uri} is no ECR image: the emulated cloud runs only images that `mapgate images push` made")
    call = Call(match["account"], match["region"] or region, {})
    name = match["repository"]
    with state_lock:
        repository = call.backend("ecr").repositories.get(name)
        images = list(repository.images) if repository else []
    if repository is None:
        raise ImageError(
            f"Cannot find repository: {name} in registry ID: {match['account']}. "
            "Deploy it with `cdk deploy`, then run `mapgate images push`."
        )
    for image in images:
        if match["tag"] in image.image_tags or match["digest"] == image.get_image_digest():
            return call, image
    raise ImageError(f"Image {uri} does not exist in ECR. Run `mapgate images push`.")


_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[a-z0-9._/-]+)(?::(?P<tag>[\w.-]+)|@(?P<digest>sha256:[0-9a-f]{64}))",
)
