# SPDX-License-Identifier: Apache-2.0
"""How an image gets into the cloud's ECR: as docker pushes one, but that its layers are a folder of this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
"""The media type of a manifest that CreateModel takes; it refuses OCI's."""
CONFIGURATION = "application/vnd.docker.container.image.v1+json"
PYTHON = "dev.mapgate.local.python"
"""The label that tells which interpreter stands for `python`."""


def push(
    ecr: Any, repository: str, tag: str, *, directory: Path, python: str, entrypoint: Sequence[str], user: str = ""
) -> None:
    """Push an image without layers, whose configuration says what is to be started in its stead.

    Args:
        ecr: boto3's client.
        repository, tag: Where it goes.
        directory: The image's WORKDIR, on this machine.
        python: The interpreter that stands for `python`.
        entrypoint: The image's ENTRYPOINT.
        user: The image's USER.
    """
    settings = {"User": user, "WorkingDir": str(directory), "Entrypoint": list(entrypoint), "Labels": {PYTHON: python}}
    described = {"architecture": "amd64", "os": "linux", "config": settings, "rootfs": {"type": "layers"}}
    configuration = json.dumps(described).encode()
    digest = f"sha256:{hashlib.sha256(configuration).hexdigest()}"
    (found,) = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest])["layers"]
    if found["layerAvailability"] != "AVAILABLE":
        upload = {
            "repositoryName": repository,
            "uploadId": ecr.initiate_layer_upload(repositoryName=repository)["uploadId"],
        }
        ecr.upload_layer_part(
            **upload, partFirstByte=0, partLastByte=len(configuration) - 1, layerPartBlob=configuration
        )
        ecr.complete_layer_upload(**upload, layerDigests=[digest])
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIGURATION, "size": len(configuration), "digest": digest},
        "layers": [],
    }
    ecr.put_image(
        repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest), imageManifestMediaType=MANIFEST
    )
