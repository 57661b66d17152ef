# SPDX-License-Identifier: Apache-2.0
"""What a training starts from: a version, the champion, an S3 URI, files here, a name of the zoo, or nothing.

The channel `checkpoint` is an S3 prefix, and a version's is the whole key of its model.tar.gz. SageMaker hands the job
the object under its own name, as in its own incremental training:
https://docs.aws.amazon.com/sagemaker/latest/dg/incremental-training.html
"""

import re
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from pipelines.client import registry
from pipelines.client.connection import Connection, refusals_told
from pipelines.client.deployment import Deployment
from pipelines.errors import BadInputError
from pipelines.zoo import architectures, pretrained

CHAMPION = "champion"
SCRATCH = "scratch"
# Where `cdk deploy` puts the object by which a training knows that it starts from scratch.
FROM_SCRATCH = "s3://{bucket}/defaults/scratch/"
_OPTION = "--initial-checkpoint"


@dataclass(frozen=True)
class InitialCheckpoint:
    """What was asked for, found.

    Attributes:
        said: What people are told of it.
        source: An S3 URI, or a path of this machine that is to be uploaded; empty for a name of the zoo.
        zoo: A name of the zoo whose archive is to be fetched; empty for anything else.
        is_zoos: Whether its name is that of a checkpoint of the zoo's, with which its schedule goes.
    """

    said: str
    source: str = ""
    zoo: str = ""
    is_zoos: bool = False


def find(connection: Connection, deployment: Deployment, given: str) -> InitialCheckpoint:
    """What a word means; a word of our own before a path of that name, a path before a name of the zoo.

    Raises:
        BadInputError: It means nothing, or what it means is not there.
    """
    if given == SCRATCH:
        return InitialCheckpoint("from scratch", _scratch(connection, deployment))
    if given == CHAMPION:
        return _of_version(connection, deployment, _champion(connection, deployment), "the champion, ")
    if given.isascii() and given.isdigit():
        return _of_version(connection, deployment, int(given))
    if given.startswith("arn:"):
        return _of_arn(connection, given)
    if given.startswith("s3://"):
        found = _require_objects(connection, given)
        return InitialCheckpoint(given, given, is_zoos=_is_zoos(found))
    if given and (place := _place_of(given)):
        return InitialCheckpoint(f"{given}, which is uploaded", str(place), is_zoos=_is_zoos(str(place.resolve())))
    return _of_zoo(given)


def completed(incomplete: str) -> list[str]:
    """Words and names that begin so, for the shell; it completes paths itself where there are none."""
    known = [CHAMPION, SCRATCH, pretrained.pinned().name, *architectures.names()]
    return [word for word in known if word.startswith(incomplete)]


def _scratch(connection: Connection, deployment: Deployment) -> str:
    uri = FROM_SCRATCH.format(bucket=deployment.data_bucket)
    _require_objects(connection, uri, "it is a default object: run `cdk deploy --all` from this checkout")
    return uri


def _champion(connection: Connection, deployment: Deployment) -> int:
    """The number of the version that production serves."""
    number = registry.champion(connection, deployment.endpoint_name)
    if number is None:
        raise BadInputError(
            f"{_OPTION} {CHAMPION}: endpoint {deployment.endpoint_name} serves nothing yet: approve a version "
            "(`mapgate models approve`), or name one by its number"
        )
    return number


def _of_version(connection: Connection, deployment: Deployment, number: int, before: str = "") -> InitialCheckpoint:
    group = deployment.model_package_group
    try:
        version = registry.version(connection, group, number)
    except BadInputError as error:
        raise BadInputError(f"{_OPTION} {number}: {error}") from error
    return _archive_of(connection, version, f"{before}version {number} of {group}")


def _of_arn(connection: Connection, arn: str) -> InitialCheckpoint:
    if ":model-package/" not in arn:
        raise BadInputError(f"{_OPTION} {arn}: that is no model package's ARN; `mapgate models show` tells a version's")
    with refusals_told(arn):
        version = registry.describe(connection, arn)
    return _archive_of(connection, version, arn)


def _archive_of(connection: Connection, version: registry.Version, said: str) -> InitialCheckpoint:
    if not version.model_uri:
        raise BadInputError(f"{_OPTION}: {said} names no model.tar.gz; take another version")
    _require_objects(connection, version.model_uri)
    return InitialCheckpoint(f"{said}, {version.model_uri}", version.model_uri)


def _require_objects(connection: Connection, uri: str, way_out: str = "name what is there") -> str:
    """See that a job will find something, and give its key; what cannot be listed here, a job may still read."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    with refusals_told(f"{_OPTION} {uri}"):
        try:
            listed = connection.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDenied":
                return prefix
            raise
    if not listed.get("Contents"):
        raise BadInputError(f"{_OPTION}: no object lies at {uri}; {way_out}")
    return str(listed["Contents"][0]["Key"])


def _is_zoos(path: str) -> bool:
    """Whether something on a path is called as the zoo calls its archives, and what they hold."""
    return re.search(r"_coco17_[tg]pu-\d+(\.tar\.gz)?(/|$)", path) is not None


def _place_of(given: str) -> Path | None:
    """The file, folder or prefix of files to upload; None where nothing of that name is here.

    Raises:
        BadInputError: There is no checkpoint in it.
    """
    place = Path(given)
    if place.suffix == ".index" and place.is_file():
        place = place.with_suffix("")
    if not place.exists():
        return place if place.with_name(f"{place.name}.index").is_file() and _data_of(place) else None
    if _holds_checkpoint(place):
        return place
    raise BadInputError(
        f"{_OPTION} {given}: it holds no checkpoint (a pair of *.index and *.data-00000-of-00001, or one *.tar.gz)"
    )


def _holds_checkpoint(place: Path) -> bool:
    if place.is_file():
        return place.name.endswith(".tar.gz")
    pairs = (index for index in place.rglob("*.index") if _data_of(index.with_suffix("")))
    return any(pairs) or len(list(place.rglob("*.tar.gz"))) == 1


def _data_of(prefix: Path) -> bool:
    return any(prefix.parent.glob(f"{prefix.name}.data-*"))


def _of_zoo(given: str) -> InitialCheckpoint:
    if given == pretrained.pinned().name:
        return InitialCheckpoint(f"{given} of the zoo", zoo=given)
    try:
        found = architectures.find(given or "nothing")
    except BadInputError as error:
        raise BadInputError(
            f"{_OPTION} {given}: neither a file or folder here nor a name of the zoo; give a version's number "
            f"(`mapgate models list`) or ARN, {CHAMPION}, {SCRATCH}, a folder or file of a checkpoint, a model.tar.gz, "
            f"an S3 URI, or one of the names that `mapgate architectures` lists, or {pretrained.pinned().name}"
        ) from error
    if found.archive is None:
        raise BadInputError(
            f"{_OPTION} {given}: the zoo has no checkpoint of {found.name}; take {SCRATCH}, or a version of your own"
        )
    return InitialCheckpoint(f"{found.name} of the zoo", zoo=found.name, is_zoos=True)
