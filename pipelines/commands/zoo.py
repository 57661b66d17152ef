# SPDX-License-Identifier: Apache-2.0
"""`mapgate zoo`: checkpoints of the TensorFlow 2 detection zoo, for jobs that reach no network."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines.client import uploads
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.local import home
from pipelines.commands.terminal import Json, complaints, console, print_json
from pipelines.display.transfers import transfer
from pipelines.errors import BadInputError
from pipelines.zoo import archives, open_images
from pipelines.zoo.architectures import completed, find

app = typer.Typer(name="zoo", no_args_is_help=True, help="Checkpoints of the TensorFlow 2 detection zoo.")

# Jobs may read what lies there, and it never expires.
PREFIX = "inputs/zoo"


@app.command(
    "fetch",
    epilog="Examples: `mapgate zoo fetch efficientdet_d1_640x640` · "
    "`mapgate zoo fetch ssd_mobilenet_v2_fpnlite_640x640 --record ./zoo.sha256 --no-upload`",
)
def fetch(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A zoo name.", autocompletion=completed)],
    bucket: Annotated[str | None, typer.Option(help="Instead of the deployment's data bucket.")] = None,
    upload: Annotated[bool, typer.Option(help="Put it into the bucket, or only keep it here.")] = True,
    checksum: Annotated[str | None, typer.Option(metavar="SHA256", help="What the archive must have.")] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            envvar="MAPGATE_ZOO_RECORD",
            help="File of checksums, as sha256sum writes them: one that you commit holds everybody to the same bytes. "
            "By default .mapgate/zoo/zoo.sha256.",
        ),
    ] = None,
    mirror: Annotated[
        str, typer.Option(envvar="MAPGATE_ZOO_MIRROR", help="Where DATE/NAME.tar.gz lies.", metavar="URL")
    ] = archives.SERVER,
    as_json: Json = False,
) -> None:
    """Download a zoo archive, check it, and put it where isolated training jobs can read it.

    A download that was interrupted goes on where it ended. The archive's SHA-256 is recorded the first time, and any
    other is refused from then on.
    """
    found = find(name)
    if found.archive is None:
        raise BadInputError(f"the zoo has no checkpoint of {found.name}: it is trained from scratch")
    connection: Connection = context.obj
    # Whether there is a place for it is known before a long download.
    bucket = (bucket or Deployment.find(connection).data_bucket) if upload else None
    folder = home() / "zoo"
    archive = _fetch(found.archive, folder, record or folder / "zoo.sha256", checksum, mirror, quiet=as_json)
    uri = None
    if bucket:
        with transfer(console, f"uploading {archive.path.name}", quiet=as_json) as progress:
            uri = uploads.upload(connection, archive.path, bucket, under=PREFIX, progress=progress)
    if as_json:
        print_json({"name": found.name, "path": archive.path, "sha256": archive.sha256, "uri": uri})
        return
    console.print(f"{'fetched' if archive.downloaded else 'was here'}  {archive.path}", soft_wrap=True)
    console.print(f"{'recorded' if archive.recorded else 'as before'} sha256 {archive.sha256}", soft_wrap=True)
    if uri:
        console.print(f"uploaded  {uri}", soft_wrap=True)
        console.print("start from it with", soft_wrap=True)
        console.print(f"  mapgate run DATA --architecture {found.name} --initial-checkpoint {uri}", soft_wrap=True)


def brought(connection: Connection, bucket: str, name: str, *, quiet: bool) -> str:
    """The URI of a name's checkpoint in a bucket: fetched and uploaded as `fetch` does it, unless it is there."""
    folder = home() / "zoo"
    if name == open_images.NAME:
        path = open_images.fetched(folder)
    else:
        place, record = find(name).archive, os.environ.get("MAPGATE_ZOO_RECORD")
        assert place is not None  # nobody asks for what the zoo has not
        mirror = os.environ.get("MAPGATE_ZOO_MIRROR") or archives.SERVER
        path = _fetch(place, folder, Path(record or folder / "zoo.sha256"), None, mirror, quiet=quiet).path
    with transfer(console, f"uploading {path.name}", quiet=quiet) as progress:
        return uploads.upload(connection, path, bucket, under=PREFIX, progress=progress)


def _fetch(
    place: str, folder: Path, record: Path, checksum: str | None, mirror: str, *, quiet: bool
) -> archives.Archive:
    try:
        with transfer(console, f"downloading {Path(place).name}", quiet=quiet) as progress:
            return archives.fetch(place, folder, record, checksum=checksum, server=mirror, progress=progress)
    except KeyboardInterrupt:
        complaints.print("mapgate: interrupted; the same command goes on where this one ended")
        raise typer.Exit(130) from None
