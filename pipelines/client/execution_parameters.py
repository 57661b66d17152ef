# SPDX-License-Identifier: Apache-2.0
"""From what a data scientist names to the pipeline's parameters: files and folders become URIs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from pipelines.client.connection import Connection
from pipelines.client.uploads import upload


def parameters_for(
    connection: Connection,
    bucket: str,
    data: str,
    uris: Mapping[str, str | None],
    values: Mapping[str, object],
    *,
    console: Console | None,
) -> dict[str, str]:
    """The parameters of an execution; what is None is left to the deployment's default.

    Args:
        data: A folder or an S3 URI, for `DatasetUri`.
        uris: Parameter name to a file, a folder or an S3 URI.
        values: Parameter name to a plain value.
        console: Where an upload shows its progress.
    """
    parameters = {"DatasetUri": uri_of(connection, bucket, data, under="datasets", console=console)}
    for name, source in uris.items():
        if source is not None:
            parameters[name] = uri_of(connection, bucket, source, under="inputs", console=console)
    parameters.update({name: str(value) for name, value in values.items() if value is not None})
    return parameters


def uri_of(connection: Connection, bucket: str, source: str, *, under: str, console: Console | None) -> str:
    """The URI itself, or that of the uploaded file or folder."""
    if source.startswith("s3://"):
        return source
    columns = (TextColumn("  uploading {task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, console=console, disable=console is None or not console.is_terminal, transient=True
    ) as bars:
        task = bars.add_task(Path(source).name, total=None)
        return upload(
            connection,
            Path(source),
            bucket,
            under=under,
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
