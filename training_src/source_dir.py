# SPDX-License-Identifier: Apache-2.0
"""An estimator's `source_dir`, of which a training takes its pipeline.config and its checkpoint.

SageMaker's SDK packs the folder into `sourcedir.tar.gz` and tells the job where that lies by the hyperparameter
`sagemaker_submit_directory`; its containers fetch it with the job's role, unpack it into `/opt/ml/code` and run its
`sagemaker_program` there (https://github.com/aws/sagemaker-training-toolkit, `files.download_and_extract`). Here the
archive is one that may have been made to do harm: configs and checkpoints come out of it, and nothing of it is run.

The one module of the training image that speaks to AWS.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from containers.contract.archive import MAX_BYTES, extract
from containers.contract.errors import ArchiveError
from containers.contract.job import TrainingJob
from training_src.errors import ConfigurationError

CODE = "code"
"""Below the job's directory: where SageMaker's containers have it."""
CHECKPOINT = "checkpoint"
"""How its folder is called, as in the zoo's archives, which may lie unpacked in it."""
# Of a checkpoint in a folder of another name: https://www.tensorflow.org/guide/checkpoint
PARTS = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")
WAY_OUT = "put its pipeline.config into a channel called config, and its checkpoint folder into one called checkpoint"
# Seconds. A subnet without a way to S3 answers nothing at all.
CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 5, 60, 3
CHUNK = 2**20


class SourceError(ConfigurationError):
    """A source_dir that cannot be had."""


def unpack_source(job: TrainingJob, address: str, region: str = "") -> None:
    """Put the configs and the checkpoints of a `source_dir` into the job's `code`; what is there already stays.

    Args:
        job: Of its directory.
        address: The hyperparameter `sagemaker_submit_directory`: `s3://BUCKET/KEY`, or a place in the container, with
            `file://` before it or not, as the SDK gives for jobs with network isolation, whose archive is in the
            channel `code`, and in its local mode, which mounts the folder.
        region: Of the bucket; "": as the environment says.

    Raises:
        SourceError: It cannot be fetched, or is no archive that may be trusted.
    """
    code = job.root / CODE
    if code.is_dir() and any(code.iterdir()):
        return
    place = job.place(address.removeprefix("file://"))
    if not address.startswith("s3://") and place.is_dir():
        return  # a channel, in which everything is looked for anyway
    beside = code.with_name(f"{CODE}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with _archive(address, place, region) as archive:
            extract(archive, beside, _wanted)
        if code.is_dir():
            code.rmdir()
        beside.rename(code)
    except ArchiveError as error:
        raise SourceError(f"The source_dir {address} is not unpacked ({error}); pack it anew, or {WAY_OUT}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _wanted(member: PurePosixPath) -> bool:
    return member.suffix == ".config" or CHECKPOINT in member.parts[:-1] or bool(PARTS.search(member.name))


@contextmanager
def _archive(address: str, place: Path, region: str) -> Iterator[Path]:
    """The archive as a file."""
    if not address.startswith("s3://"):
        if not place.is_file():
            raise SourceError(f"The source_dir {address} is not there; {WAY_OUT}.")
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="mapgate-source-") as folder:
        archive = Path(folder) / "sourcedir.tar.gz"
        _download(address, archive, region)
        yield archive


def _download(address: str, target: Path, region: str) -> None:
    # Only for jobs that ask for it, and importing takes its time.
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not (bucket and key):
        raise SourceError(f"The source_dir {address} names no object of S3; {WAY_OUT}.")
    limits = Config(
        connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": ATTEMPTS}
    )
    try:
        client: Any = Session().create_client("s3", region_name=region or None, config=limits)
        answer = client.get_object(Bucket=bucket, Key=key)
        if answer["ContentLength"] > MAX_BYTES:
            raise SourceError(f"The source_dir {address} has more than {MAX_BYTES} bytes; {WAY_OUT}.")
        with target.open("wb") as file:
            for chunk in answer["Body"].iter_chunks(CHUNK):
                file.write(chunk)
    except ClientError as error:
        raise SourceError(
            f"The source_dir {address} cannot be fetched ({error.response['Error'].get('Code')}); see that it is there "
            f"and that the job's role may do s3:GetObject on it, or {WAY_OUT}."
        ) from error
    except BotoCoreError as error:
        # Isolated containers have neither a network nor credentials:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/mkt-algo-model-internet-free.html
        raise SourceError(
            f"The source_dir {address} cannot be fetched, as in a job with network isolation or without a way to S3 "
            f"({error}); {WAY_OUT}."
        ) from error
