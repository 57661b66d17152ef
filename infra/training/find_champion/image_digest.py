# SPDX-License-Identifier: Apache-2.0
"""The digest by which ECR knows an image now: what a tag names is told by no tag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_URI = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.[^/]+/(?P<repository>.+):(?P<tag>[^:/]+)")


class ImageError(Exception):
    """The image is not where the deployment looks for it; the message names the way out."""


def image_digest(ecr: ECRClient, uri: str) -> str:
    """Return the digest, `sha256:` and 64 hexadecimal digits, of an image by its URI with a tag.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html

    Raises:
        ImageError: It is not there, or it is no image of ECR with a tag.
    """
    named = _URI.fullmatch(uri)
    if not named:
        raise ImageError(f"{uri} is no image of ECR with a tag; deploy the stacks again.")
    try:
        (found,) = ecr.describe_images(
            registryId=named["account"],
            repositoryName=named["repository"],
            imageIds=[{"imageTag": named["tag"]}],
        )["imageDetails"]
    except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException) as error:
        raise ImageError(f"{uri} is not there: run `mapgate images push`, and start again.") from error
    return found["imageDigest"]
