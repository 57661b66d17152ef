# SPDX-License-Identifier: Apache-2.0
"""Downloads from a real HTTP server that behaves well, breaks off, forgets what it was asked, or is not there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInputError
from pipelines.zoo.downloads import DownloadError, download

BODY = os.urandom(3_000_000)


@pytest.fixture
def server(file_server: Callable[..., Any]) -> Any:
    return file_server({"/file": BODY})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "file"


def _left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_comes_whole_and_leaves_nothing_beside_it(server: Any, target: Path) -> None:
    told: list[tuple[int, int | None]] = []
    download(f"{server.url}/file", target, progress=lambda there, total: told.append((there, total)))
    assert target.read_bytes() == BODY
    assert _left(target) == ["file"]
    assert told[-1] == (len(BODY), len(BODY))
    assert [there for there, _ in told] == sorted(there for there, _ in told)


def test_a_connection_that_breaks_goes_on_where_it_ended(server: Any, target: Path) -> None:
    server.break_after = [1_000_000, 500_000]
    download(f"{server.url}/file", target)
    assert target.read_bytes() == BODY
    assert server.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_what_was_stopped_goes_on_with_the_next_call(server: Any, target: Path) -> None:
    def stop(there: int, _: int | None) -> None:
        if there > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/file", target, progress=stop)
    assert not target.exists()
    download(f"{server.url}/file", target)
    assert target.read_bytes() == BODY
    assert int(server.ranges[1].removeprefix("bytes=").removesuffix("-")) > 1_000_000


def test_a_server_that_sends_nothing_more_is_one_sentence_and_what_came_is_kept(server: Any, target: Path) -> None:
    server.break_after = [1_000_000, 0]
    with pytest.raises(DownloadError, match=r"stopped before the file's end; 1000000 bytes are kept, and the next try"):
        download(f"{server.url}/file", target)
    assert not target.exists()
    download(f"{server.url}/file", target)
    assert target.read_bytes() == BODY
    assert server.ranges[-1] == "bytes=1000000-"


def test_a_file_that_changed_meanwhile_comes_anew(server: Any, target: Path) -> None:
    server.break_after = [1_000_000, 0]
    with pytest.raises(DownloadError):
        download(f"{server.url}/file", target)
    changed = os.urandom(2_000_000)
    server.files["/file"] = changed
    download(f"{server.url}/file", target)
    assert target.read_bytes() == changed


def test_a_server_without_ranges_sends_all_again(server: Any, target: Path) -> None:
    server.has_ranges = False
    server.break_after = [1_000_000]
    download(f"{server.url}/file", target)
    assert target.read_bytes() == BODY


def test_a_server_that_marks_no_version_is_asked_for_all_again(server: Any, target: Path) -> None:
    server.has_marks = False
    server.break_after = [1_000_000]
    download(f"{server.url}/file", target)
    assert target.read_bytes() == BODY
    assert server.ranges == [None, None]


def test_a_server_that_breaks_off_at_the_same_place_is_left(server: Any, target: Path) -> None:
    server.has_ranges = False
    server.break_after = [1_000_000] * 100
    with pytest.raises(DownloadError, match="stopped before the file's end"):
        download(f"{server.url}/file", target)
    assert len(server.ranges) == 2


def test_a_part_that_was_not_asked_for_is_refused(server: Any, target: Path) -> None:
    server.break_after = [1_000_000]
    server.shift = 7
    with pytest.raises(DownloadError, match="asked for the bytes from 1000000 on, the server sent 'bytes 1000007-"):
        download(f"{server.url}/file", target)
    assert not target.exists()


def test_more_bytes_than_a_model_has_are_not_taken(server: Any, target: Path) -> None:
    with pytest.raises(DownloadError, match="3000000 bytes are more than any model"):
        download(f"{server.url}/file", target, max_bytes=2_000_000)
    server.has_length = False
    with pytest.raises(DownloadError, match="more than 2000000 bytes came"):
        download(f"{server.url}/file", target, max_bytes=2_000_000)
    assert not target.exists()


@pytest.mark.parametrize(
    ("path", "error", "told"),
    [
        ("/none", BadInputError, "there is no such file \\(404 Not Found\\)"),
        ("/500", DownloadError, "the server answered 500 Internal Server Error; try again later"),
    ],
)
def test_a_refusal_is_one_sentence(server: Any, target: Path, path: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told) as raised:
        download(f"{server.url}{path}", target)
    assert "\n" not in str(raised.value)
    assert _left(target) == []


def test_no_network_is_one_sentence(target: Path, free_port: Callable[[], int]) -> None:
    with pytest.raises(DownloadError, match=r"cannot be reached \(.*\); this needs the network, or a mirror"):
        download(f"http://127.0.0.1:{free_port()}/file", target)
    with pytest.raises(DownloadError, match=r"cannot be reached \(.*\); this needs the network, or a mirror"):
        download("http://nowhere.invalid/file", target)
    assert _left(target) == []


def test_only_http_is_asked(target: Path) -> None:
    with pytest.raises(BadInputError, match="file:///etc/passwd: not an http:// or https:// address"):
        download("file:///etc/passwd", target)


def test_two_processes_do_not_write_the_same_file(server: Any, target: Path) -> None:
    target.parent.mkdir()
    with target.with_name("file.partial").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process is downloading it"):
            download(f"{server.url}/file", target)
    download(f"{server.url}/file", target)
    assert target.read_bytes() == BODY


def test_a_folder_that_cannot_be_written_is_named(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot be written"):
        download(f"{server.url}/file", tmp_path / "file" / "deeper")
