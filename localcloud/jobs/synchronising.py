# SPDX-License-Identifier: Apache-2.0
"""Files that go to S3 while a job runs: checkpoints, TensorBoard's, processing outputs with S3UploadMode Continuous."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.objects import files_below, split_uri, upload_file

INTERVAL = 2.0
"""Seconds between two looks at the directory."""
BESIDE = (".tmp", ".temp", ".part", ".partial", ".lock")
"""Endings of files that are still being written and will be renamed."""


class Synchroniser:
    """Uploads what appears or changes below `directory` to `uri`, until `finish`.

    A file counts as finished when it looks the same twice in a row and its name does not mark it as a temporary one;
    older files go first, so an index written last never points at what is not there yet.

    Args:
        s3: boto3's client.
        directory: May not be there yet.
        uri: The prefix that stands for it.
        kms_key: What objects are encrypted with; None leaves that to the bucket.
        mirrors: Whether what is deleted below `directory` is deleted in S3, too, as SageMaker does with checkpoints.
    """

    def __init__(
        self, s3: Any, directory: Path, uri: str, kms_key: str | None = None, *, mirrors: bool = False
    ) -> None:
        self._s3, self._directory, self._uri, self._kms_key = s3, directory, uri.rstrip("/"), kms_key
        self._mirrors = mirrors
        self._seen: dict[Path, tuple[int, int, int]] = self._look()
        self._sent = dict(self._seen)  # what was downloaded need not go back
        self._denied: ClientError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"synchronise {uri}", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Upload what has settled and what the ended process left, and return when that is done.

        Raises:
            ClientError: The role may not write or delete there.
        """
        self._ended.set()
        self._thread.join()
        self._seen = self._look()
        self._upload(self._look())
        if self._denied:
            raise self._denied

    @contextlib.contextmanager
    def _noting_denials(self) -> Iterator[None]:
        """What fails is tried again; that something is denied is told in the end."""
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDenied":
                self._denied = error
        except (BotoCoreError, FileNotFoundError):
            return

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._upload(self._look())

    def _upload(self, now: dict[Path, tuple[int, int, int]]) -> None:
        settled = [path for path, looks in now.items() if self._seen.get(path) == looks != self._sent.get(path)]
        for path in sorted(settled, key=lambda path: now[path][0]):
            with self._noting_denials():
                upload_file(self._s3, path, self._uri_of(path), self._kms_key)
                self._sent[path] = now[path]
        for path in [path for path in self._sent if self._mirrors and not path.exists()]:
            bucket, key = split_uri(self._uri_of(path))
            with self._noting_denials():
                self._s3.delete_object(Bucket=bucket, Key=key)
                del self._sent[path]
        self._seen = now

    def _uri_of(self, path: Path) -> str:
        return f"{self._uri}/{path.relative_to(self._directory).as_posix()}"

    def _look(self) -> dict[Path, tuple[int, int, int]]:
        found = {}
        for path in files_below(self._directory):
            if path.name.startswith(".") or path.suffix in BESIDE:
                continue
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found
