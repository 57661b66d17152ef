# SPDX-License-Identifier: Apache-2.0
"""From what a data scientist names to the pipeline's parameters: files and folders become URIs."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from pipelines.client.connection import Connection
from pipelines.client.uploads import Progress, upload

# What the trained weights depend on, besides the settings; content that was uploaded is named by its hash.
DECIDING = (
    "AnnotationsUri",
    "Architecture",
    "DatasetUri",
    "InitialCheckpointUri",
    "LabelMapUri",
    "PipelineConfigUri",
)
# Settings that only say how long a training goes on.
LENGTH = ("early_stopping_patience", "early_stopping_min_delta")
# The same in a pipeline.config.
LENGTH_IN_CONFIG = re.compile(rb"\b(num_steps|total_steps)\s*:\s*\d+")


def parameters_for(
    connection: Connection,
    bucket: str,
    data: str,
    uris: Mapping[str, str | None],
    values: Mapping[str, object],
    *,
    progress: Progress | None = None,
) -> dict[str, str]:
    """The parameters of an execution; what is None is left to the deployment's default.

    Among them is the fingerprint of what was given, under which the execution finds the checkpoints of its like.

    Args:
        data: A folder or an S3 URI, for `DatasetUri`.
        uris: Parameter name to a file, a folder or an S3 URI.
        values: Parameter name to a plain value.
        progress: Of each upload, one after the other.
    """
    parameters = {"DatasetUri": uri_of(connection, bucket, data, under="datasets", progress=progress)}
    for name, source in uris.items():
        if source is not None:
            parameters[name] = uri_of(connection, bucket, source, under="inputs", progress=progress)
    parameters.update({name: str(value) for name, value in values.items() if value is not None})
    deciding = {**parameters, **_config_without_length(uris.get("PipelineConfigUri"))}
    return {**parameters, "CheckpointFingerprint": checkpoint_fingerprint(deciding)}


def checkpoint_fingerprint(parameters: Mapping[str, str]) -> str:
    """Name what the trained weights depend on, so that executions with equal names share their checkpoints.

    Steps, patience and the least improvement are left out, since a longer training goes on from a shorter one's last
    checkpoint; and so is the execution, whose repetition must find its checkpoints and its cached steps.

    Args:
        parameters: The pipeline's, by name.

    Returns:
        16 hexadecimal digits.
    """
    settings = sorted(
        word for word in parameters.get("TrainingSettings", "").split() if word.partition("=")[0] not in LENGTH
    )
    decided = [[parameters.get(name) for name in DECIDING], settings]
    return hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:16]


def _config_without_length(source: str | None) -> dict[str, str]:
    """What stands for a pipeline.config of this machine, whatever number of steps is written in it."""
    if source is None or source.startswith("s3://"):
        return {}
    files = [Path(source)] if Path(source).is_file() else sorted(Path(source).glob("*.config"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(LENGTH_IN_CONFIG.sub(b"", file.read_bytes()))
    return {"PipelineConfigUri": digest.hexdigest()}


def uri_of(connection: Connection, bucket: str, source: str, *, under: str, progress: Progress | None = None) -> str:
    """The URI itself, or that of the uploaded file or folder."""
    if source.startswith("s3://"):
        return source
    return upload(connection, Path(source), bucket, under=under, progress=progress)
