# SPDX-License-Identifier: Apache-2.0
"""What may stand on a registered version: one container of the environment's own image, and no more.

The pipeline registers image and artifact, and PublishDossier adds by what the model is to be served. Whatever else a
version says (a program to preload, another entry point, data from elsewhere) was written by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import errors
from .errors import RefusedError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

    from .registry import Package

VARIABLES = frozenset({"MAPGATE_PRECISION", "MAPGATE_RUNTIME"})
"""Of a container's environment, as PublishDossier writes it."""
_FOREIGN = ("AdditionalModelDataSources", "AdditionalS3DataSource", "ModelDataSource", "ProductId")
"""What brings other code or other data than the artifact along.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ModelPackageContainerDefinition.html
"""
_ANEW = "register it through the pipeline"


def check_registration(package: Package, repository: str) -> None:
    """See that a version is what the pipeline writes, image and artifact of the environment and nothing beside them.

    Args:
        package: The version.
        repository: URI without tag of the environment's inference images.

    Raises:
        RefusedError: It has more containers, variables or sources, or an image from elsewhere.
    """
    version = f"v{package.version}"
    if len(package.containers) != 1:
        raise RefusedError(f"{version} has {len(package.containers)} containers, a detector has one; {_ANEW}")
    (container,) = package.containers
    variables = sorted(set(container.get("Environment") or {}) - VARIABLES)
    if variables:
        raise RefusedError(
            f"{version} sets {', '.join(variables)} in its container's environment, which the pipeline does not; "
            f"{_ANEW}"
        )
    for name in _FOREIGN:
        if container.get(name) and not (
            name == "ModelDataSource" and is_same_object(container[name], package.model_uri)
        ):
            raise RefusedError(f"{version} has {name} in its container, which the pipeline does not write; {_ANEW}")
    name, _, tag = package.image.rpartition(":")
    if name != repository or not tag:
        raise RefusedError(f"{version} names the image {package.image}, which is not one of {repository}; {_ANEW}")


def is_same_object(source: Any, uri: str) -> bool:
    """Whether a ModelDataSource says no more than a ModelDataUrl does, as SageMaker fills it in.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3ModelDataSource.html
    """
    said = dict(source.get("S3DataSource") or {}) if isinstance(source, dict) else {}
    given = {name: value for name, value in said.items() if value}
    return set(source or {}) == {"S3DataSource"} and given == {
        "S3Uri": uri,
        "S3DataType": "S3Object",
        "CompressionType": "Gzip",
    }


def image_digest(ecr: ECRClient, package: Package) -> str:
    """Return the digest that an image's tag means now, `sha256:...`.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html

    Raises:
        RefusedError: The image is gone.
    """
    repository, _, tag = package.image.rpartition(":")
    registry, _, name = repository.partition("/")
    try:
        answer = ecr.describe_images(
            registryId=registry.partition(".")[0], repositoryName=name, imageIds=[{"imageTag": tag}]
        )
    except ClientError as error:
        if errors.code(error) not in {"ImageNotFoundException", "RepositoryNotFoundException"}:
            raise
        raise RefusedError(
            f"v{package.version}: its image {package.image} is gone from ECR; push it again from the sources that it "
            "was built of, or run the pipeline again"
        ) from error
    (image,) = answer["imageDetails"]
    return str(image["imageDigest"])
