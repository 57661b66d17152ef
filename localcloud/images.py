# SPDX-License-Identifier: Apache-2.0
"""Container images: what ECR's manifest of a pushed image says is to be started in its stead."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcloud.clients import client

DIRECTORY = "dev.mapgate.local.directory"
PYTHON = "dev.mapgate.local.python"
ENTRYPOINT = "dev.mapgate.local.entrypoint"


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


def resolve(uri: str, region: str) -> PushedImage:
    """The image behind an ECR URI with a tag or digest.

    Args:
        uri: `<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>` or `...@sha256:...`.
        region: Where the caller runs; images are pulled from their own region.

    Raises:
        ImageError: There is no such image, or it was not pushed for this cloud.
    """
    match = _URI.fullmatch(uri)
    if not match:
        raise ImageError(f"{uri} is no ECR image: the emulated cloud runs only images that `mapgate images push` made")
    identifier = {"imageTag": match["tag"]} if match["tag"] else {"imageDigest": match["digest"]}
    ecr = client("ecr", match["account"], match["region"] or region)
    try:
        found = ecr.batch_get_image(repositoryName=match["repository"], imageIds=[identifier])["images"]
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise ImageError(
            f"Cannot find repository: {match['repository']} in registry ID: {match['account']}. "
            "Deploy it with `cdk deploy`, then run `mapgate images push`."
        ) from error
    if not found:
        raise ImageError(f"Image {uri} does not exist in ECR. Run `mapgate images push`.")
    notes = json.loads(found[0]["imageManifest"]).get("annotations", {})
    missing = [name for name in (DIRECTORY, PYTHON, ENTRYPOINT) if name not in notes]
    if missing:
        raise ImageError(f"Image {uri} has no annotation {missing[0]}. Push it with `mapgate images push`.")
    directory = Path(notes[DIRECTORY])
    if not directory.is_dir():
        raise ImageError(f"Image {uri} lay at {directory}, which is gone. Run `mapgate images push`.")
    return PushedImage(
        uri, found[0]["imageId"]["imageDigest"], directory, notes[PYTHON], tuple(json.loads(notes[ENTRYPOINT]))
    )


_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[a-z0-9._/-]+)(?::(?P<tag>[\w.-]+)|@(?P<digest>sha256:[0-9a-f]{64}))",
)
