# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest


@pytest.fixture
def table(cloud: Any) -> Any:
    return deployment_records(cloud)


def deployment_records(cloud: Any, name: str = "") -> Any:
    """A table like that of the deployment records."""
    name = name or f"deployments-{uuid4().hex[:12]}"
    keys = {"EndpointName": "HASH", "Record": "RANGE"}
    return cloud.resource("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture
def push(cloud: Any) -> Any:
    """Push an image to a repository of its own; returns its URI with a tag, and the digest that ECR gives it."""

    def pushed() -> tuple[str, str]:
        ecr, name = cloud.client("ecr"), f"images-{uuid4().hex[:12]}"
        repository = ecr.create_repository(repositoryName=name)["repository"]
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        digest = f"sha256:{uuid4().hex * 2}"
        layer = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 1, "digest": digest}
        config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1, "digest": digest}
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}
        image = ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="0123")["image"]
        return f"{repository['repositoryUri']}:0123", image["imageId"]["imageDigest"]

    return pushed


@pytest.fixture
def bucket(cloud: Any) -> str:
    """A data bucket."""
    name = f"data-{uuid4().hex[:12]}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name
