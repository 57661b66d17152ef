# SPDX-License-Identifier: Apache-2.0
"""What an endpoint or a transform job runs of a model: its one container, and the data that lies beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcloud.objects import fetch, split_uri, unpack


class ContainerError(Exception):
    """A model that this cloud cannot run; the message says why."""


def container_of(sagemaker: Any, model_name: str) -> dict[str, Any]:
    """The container of a model, of its own or of its package, with the model's role and network.

    Args:
        sagemaker: Client.
        model_name: The model's.

    Raises:
        ContainerError: It has several, or one for several models.
    """
    model = sagemaker.describe_model(ModelName=model_name)
    containers = [model["PrimaryContainer"]] if model.get("PrimaryContainer") else model.get("Containers", [])
    if len(containers) != 1:
        raise ContainerError(f"Model {model_name} has {len(containers)} containers; the emulated cloud runs one")
    container = containers[0]
    if container.get("Mode") == "MultiModel":
        raise ContainerError(f"Model {model_name} is a multi-model container, which the emulated cloud does not run")
    packaged: Mapping[str, Any] = {}
    if container.get("ModelPackageName"):
        package = sagemaker.describe_model_package(ModelPackageName=container["ModelPackageName"])
        packaged = package["InferenceSpecification"]["Containers"][0]
    source = container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
    return {
        "model": model_name,
        "role": model["ExecutionRoleArn"],
        "vpc": model.get("VpcConfig"),
        "image": container.get("Image") or packaged.get("Image"),
        "model_data_url": container.get("ModelDataUrl") or source or packaged.get("ModelDataUrl"),
        "environment": {**packaged.get("Environment", {}), **container.get("Environment", {})},
    }


def lay_out_model(s3: Any, url: str | None, home: Path) -> None:
    """Extract a model's archive where its container finds it, `opt/ml/model` below `home`.

    Args:
        s3: A client of the model's role.
        url: S3 address of the archive; a model may have none.
        home: The container's.

    Raises:
        ContainerError: It cannot be fetched or extracted.
    """
    model = home / "opt" / "ml" / "model"
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir(parents=True)
    if not url:
        return
    archive = home / "model.tar.gz"
    try:
        fetch(s3, *split_uri(url), archive)
        unpack(archive, model)
    except Exception as error:
        raise ContainerError(
            f"Failed to download model data for container primary from URL: {url}. "
            f"Please ensure that there is an object located at the URL. ({error})"
        ) from error
    archive.unlink()
