# SPDX-License-Identifier: Apache-2.0
"""Layers go up part by part and are kept by their digest, as docker pushes them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

CONTENT = b"a layer in two parts"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def repository(cloud: Any, request: pytest.FixtureRequest) -> dict[str, str]:
    name = request.node.name.replace("_", "-")
    cloud.client("ecr").create_repository(repositoryName=name)
    return {"repositoryName": name}


def upload(ecr: Any, repository: dict[str, str]) -> dict[str, str]:
    """Both parts; what the next call needs."""
    begun = {**repository, "uploadId": ecr.initiate_layer_upload(**repository)["uploadId"]}
    first, second = CONTENT[:8], CONTENT[8:]
    told = ecr.upload_layer_part(**begun, partFirstByte=0, partLastByte=7, layerPartBlob=first)
    assert told["lastByteReceived"] == 7
    told = ecr.upload_layer_part(**begun, partFirstByte=8, partLastByte=len(CONTENT) - 1, layerPartBlob=second)
    assert told["lastByteReceived"] == len(CONTENT) - 1
    return begun


def test_a_layer_is_there_once_its_upload_is_complete(cloud: Any, repository: dict[str, str]) -> None:
    ecr = cloud.client("ecr")
    begun = upload(ecr, repository)
    available = ecr.batch_check_layer_availability(**repository, layerDigests=[DIGEST])["layers"]
    assert available == [{"layerDigest": DIGEST, "layerAvailability": "UNAVAILABLE"}]

    assert ecr.complete_layer_upload(**begun, layerDigests=[DIGEST])["layerDigest"] == DIGEST

    available = ecr.batch_check_layer_availability(**repository, layerDigests=[DIGEST])["layers"]
    assert available == [{"layerDigest": DIGEST, "layerAvailability": "AVAILABLE", "layerSize": len(CONTENT)}]
    again = upload(ecr, repository)
    with pytest.raises(ClientError, match="LayerAlreadyExistsException"):
        ecr.complete_layer_upload(**again, layerDigests=[DIGEST])


def test_what_is_not_what_it_says_it_is_is_refused(cloud: Any, repository: dict[str, str]) -> None:
    ecr = cloud.client("ecr")
    begun = upload(ecr, repository)
    with pytest.raises(ClientError, match="InvalidLayerException"):
        ecr.complete_layer_upload(**begun, layerDigests=[f"sha256:{'0' * 64}"])
    with pytest.raises(ClientError, match="InvalidLayerPartException"):
        ecr.upload_layer_part(**begun, partFirstByte=99, partLastByte=99, layerPartBlob=b"x")
    with pytest.raises(ClientError, match="UploadNotFoundException"):
        ecr.complete_layer_upload(**repository, uploadId="00000000-0000-0000-0000-000000000000", layerDigests=[DIGEST])
    empty = {**repository, "uploadId": ecr.initiate_layer_upload(**repository)["uploadId"]}
    with pytest.raises(ClientError, match="EmptyUploadException"):
        ecr.complete_layer_upload(**empty, layerDigests=[DIGEST])
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        ecr.initiate_layer_upload(repositoryName="of-nobody")
