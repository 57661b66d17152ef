# SPDX-License-Identifier: Apache-2.0
"""Large files from HTTP servers: what was interrupted goes on where it ended, and nothing halved looks finished."""

import fcntl
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from pipelines.errors import BadInputError, WorkFailedError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and the bytes in all where the server tells."""

MAX_BYTES = 8 * 2**30
CHUNK = 2**18
TIMEOUT_SECONDS = 60.0


class DownloadError(WorkFailedError):
    """A file did not come."""


def download(url: str, target: Path, *, progress: Progress | None = None, max_bytes: int = MAX_BYTES) -> None:
    """Download a file.

    Until it is whole it lies beside `target`, as `.partial` with the server's mark of that version as `.mark`: the next
    call, after whatever stopped this one, asks for the rest alone. A connection that breaks is made again as long as
    each brings something.

    Args:
        url: `http://` or `https://`.

    Raises:
        BadInputError: The server has no such file, or the URL is none.
        DownloadError: It cannot be reached, stops sending, sends too much, or another process downloads the same file.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadInputError(f"{url}: not an http:// or https:// address")
    partial = target.with_name(f"{target.name}.partial")
    mark = target.with_name(f"{target.name}.mark")
    with _locked(partial) as file:
        try:
            _receive_all(url, file, mark, progress, max_bytes)
        except BaseException:
            if not file.seek(0, 2):
                partial.unlink()
            raise
        partial.replace(target)
        mark.unlink(missing_ok=True)


def _receive_all(url: str, file: IO[bytes], mark: Path, progress: Progress | None, max_bytes: int) -> None:
    while True:
        before = file.seek(0, 2)
        try:
            return _receive(url, file, mark, progress, max_bytes)
        except (OSError, http.client.HTTPException) as error:
            # A connection that brought nothing will bring nothing a second time.
            there = file.seek(0, 2)
            if there <= before:
                raise DownloadError(_sentence(url, error, there)) from error


def _receive(url: str, file: IO[bytes], mark: Path, progress: Progress | None, max_bytes: int) -> None:
    """Append what is missing; returns when all is there."""
    there = file.seek(0, 2)
    known = mark.read_text() if mark.exists() else ""
    if there and not known:  # without the mark nobody knows of which version they are
        there = _emptied(file)
    request = urllib.request.Request(url, headers={"User-Agent": "mapgate", "Accept-Encoding": "identity"})
    if there:
        request.add_header("Range", f"bytes={there}-")
        request.add_header("If-Range", known)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and there:
            _emptied(file)
            return _receive(url, file, mark, progress, max_bytes)
        raise _refusal(url, error) from error
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            there = _emptied(file)
            mark.write_text(_mark_of(response))
        total = _total(response, there)
        if (total or 0) > max_bytes:
            raise DownloadError(f"{url}: {total} bytes are more than any model of the zoo has, so it was not fetched")
        while chunk := response.read1(CHUNK):
            there += len(chunk)
            if there > max_bytes:
                raise DownloadError(f"{url}: more than {max_bytes} bytes came, which is no model of the zoo")
            _write(file, chunk)
            if progress:
                progress(there, total)
    if total is not None and there != total:
        raise http.client.IncompleteRead(b"", total - there)
    return None


def _locked(partial: Path) -> IO[bytes]:
    """The file, open to be appended to, by this process alone."""
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("ab")
    except OSError as error:
        raise DownloadError(f"{partial}: cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have ended, and renamed the file, after it was opened here.
        if not os.path.samestat(partial.stat(), os.fstat(file.fileno())):
            raise BlockingIOError
    except OSError as error:
        file.close()
        raise DownloadError(f"{partial}: another process is downloading it; try again when it has ended") from error
    return file


def _write(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        raise DownloadError(f"{file.name}: cannot be written ({error.strerror})") from error


def _emptied(file: IO[bytes]) -> int:
    file.truncate(0)
    return file.seek(0, 2)


def _mark_of(response: http.client.HTTPResponse) -> str:
    """What If-Range takes: a strong ETag, else the date."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _total(response: http.client.HTTPResponse, there: int) -> int | None:
    """The file's size.

    Raises:
        DownloadError: If a part comes that was not asked for.
    """
    if response.status == http.client.PARTIAL_CONTENT:
        given = response.headers.get("Content-Range", "")
        part = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", given)
        if not part or int(part[1]) != there:
            raise DownloadError(f"{response.url}: asked for the bytes from {there} on, the server sent {given!r}")
        return int(part[3])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _refusal(url: str, error: urllib.error.HTTPError) -> BadInputError | DownloadError:
    if error.code in (http.client.NOT_FOUND, http.client.FORBIDDEN, http.client.GONE):
        return BadInputError(
            f"{url}: there is no such file ({error.code} {error.reason}); is the server the right one?"
        )
    return DownloadError(f"{url}: the server answered {error.code} {error.reason}; try again later")


def _sentence(url: str, error: Exception, there: int) -> str:
    kept = f"; {there} bytes are kept, and the next try goes on from there" if there else ""
    if isinstance(error, http.client.IncompleteRead):
        return f"{url}: the server stopped before the file's end{kept}"
    reason = getattr(error, "reason", None) or error
    return f"{url}: cannot be reached ({reason}); this needs the network, or a mirror that --mirror names{kept}"
