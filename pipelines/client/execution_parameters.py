# SPDX-License-Identifier: Apache-2.0
"""From what a data scientist names to the pipeline's parameters: files and folders become URIs."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.client.connection import Connection
from pipelines.client.uploads import Progress, upload


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
    return parameters


def uri_of(connection: Connection, bucket: str, source: str, *, under: str, progress: Progress | None = None) -> str:
    """The URI itself, or that of the uploaded file or folder."""
    if source.startswith("s3://"):
        return source
    return upload(connection, Path(source), bucket, under=under, progress=progress)
