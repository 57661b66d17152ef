# SPDX-License-Identifier: Apache-2.0
"""`mapgate zoo fetch`: a served archive to the bucket, and every way in which it must not get there."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInputError
from pipelines.tar_headers import MAX_HEADER_BYTES
from pipelines.zoo import architectures, archives
from pipelines.zoo.archives import ArchiveError, fetch

CHECKOUT = Path(__file__).resolve().parents[3]
Mapgate = Callable[..., subprocess.CompletedProcess[str]]
STEM = "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"
NAME = f"{STEM}.tar.gz"
PLACE = f"20200711/{NAME}"
FILES = {
    "checkpoint/checkpoint": b'model_checkpoint_path: "ckpt-0"',
    "checkpoint/ckpt-0.index": b"index",
    "checkpoint/ckpt-0.data-00000-of-00001": bytes(100_000) + os.urandom(100_000),
    "pipeline.config": b"model { ssd {} }",
    "saved_model/saved_model.pb": b"graph",
}


def _archive(files: dict[str, bytes] = FILES, *extra: tarfile.TarInfo, stem: str = STEM) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member)
    return written.getvalue()


ARCHIVE = _archive()
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture
def server(file_server: Callable[..., Any]) -> Any:
    return file_server({f"/{PLACE}": ARCHIVE})


@pytest.fixture
def bring(server: Any, tmp_path: Path) -> Callable[..., archives.Archive]:
    def bring(**settings: Any) -> archives.Archive:
        return fetch(PLACE, tmp_path / "zoo", tmp_path / "zoo.sha256", server=server.url, **settings)

    return bring


def test_the_first_time_is_recorded_and_the_second_downloads_nothing(
    bring: Callable[..., archives.Archive], server: Any, tmp_path: Path
) -> None:
    first, second = bring(), bring()
    assert first == archives.Archive(tmp_path / "zoo" / NAME, SHA256, downloaded=True, recorded=True)
    assert second == archives.Archive(tmp_path / "zoo" / NAME, SHA256, downloaded=False, recorded=False)
    assert first.path.read_bytes() == ARCHIVE
    assert len(server.ranges) == 1


def test_sha256sum_reads_the_record(bring: Callable[..., archives.Archive], tmp_path: Path) -> None:
    bring()
    command = ["sha256sum", "--check", str(tmp_path / "zoo.sha256")]
    done = subprocess.run(command, cwd=tmp_path / "zoo", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{NAME}: OK\n")


def test_a_record_keeps_its_other_lines(bring: Callable[..., archives.Archive], tmp_path: Path) -> None:
    (tmp_path / "zoo.sha256").write_text(f"# ours\n{'0' * 64}  other.tar.gz")
    bring()
    assert (tmp_path / "zoo.sha256").read_text() == f"# ours\n{'0' * 64}  other.tar.gz\n{SHA256}  {NAME}\n"


def test_other_bytes_than_the_first_times_are_refused(
    bring: Callable[..., archives.Archive], server: Any, tmp_path: Path
) -> None:
    bring().path.unlink()
    server.files[f"/{PLACE}"] = _archive({**FILES, "pipeline.config": b"model { faster_rcnn {} }"})
    with pytest.raises(ArchiveError, match=rf"its SHA-256 is .*, but .*zoo.sha256 has kept {SHA256} since the first"):
        bring()
    assert not (tmp_path / "zoo" / NAME).exists()
    assert (tmp_path / "zoo.sha256").read_text() == f"{SHA256}  {NAME}\n"


def test_a_committed_record_holds_a_new_machine_to_it(bring: Callable[..., archives.Archive], tmp_path: Path) -> None:
    (tmp_path / "zoo.sha256").write_text(f"{'ab' * 32}  {NAME}\n")
    with pytest.raises(ArchiveError, match=f"has kept {'ab' * 32} since the first time"):
        bring()


def test_what_was_harmed_on_the_disk_comes_anew(bring: Callable[..., archives.Archive]) -> None:
    path = bring().path
    path.write_bytes(ARCHIVE[:-1] + b"x")
    assert bring().downloaded
    assert path.read_bytes() == ARCHIVE


def test_the_given_checksum_decides(bring: Callable[..., archives.Archive], tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"its SHA-256 is {SHA256}, but --checksum says {'cd' * 32}"):
        bring(checksum="cd" * 32)
    assert not (tmp_path / "zoo" / NAME).exists()
    assert not (tmp_path / "zoo.sha256").exists()
    assert bring(checksum=SHA256.upper()).recorded


def test_a_checksum_that_contradicts_the_record_is_refused_before_any_download(
    bring: Callable[..., archives.Archive], server: Any
) -> None:
    path = bring().path
    with pytest.raises(BadInputError, match=f"--checksum says {'cd' * 32}, but .*zoo.sha256 has kept {SHA256}"):
        bring(checksum="cd" * 32)
    assert path.exists()
    assert len(server.ranges) == 1


@pytest.mark.parametrize("checksum", ["", "abc", "g" * 64, SHA256 + "0"], ids=["none", "short", "letters", "long"])
def test_what_is_no_checksum_is_named(bring: Callable[..., archives.Archive], server: Any, checksum: str) -> None:
    with pytest.raises(BadInputError, match="a SHA-256 has 64 hexadecimal digits"):
        bring(checksum=checksum)
    assert server.ranges == []


def test_a_record_with_a_broken_line_is_named(bring: Callable[..., archives.Archive], tmp_path: Path) -> None:
    (tmp_path / "zoo.sha256").write_text(f"# ours\nabc  {NAME}\n")
    with pytest.raises(BadInputError, match=r"zoo\.sha256, line 2: 'abc' is no SHA-256"):
        bring()


def _link() -> tarfile.TarInfo:
    link = tarfile.TarInfo(f"{STEM}/checkpoint/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return link


HOSTILE = {
    "truncated": (ARCHIVE[: len(ARCHIVE) // 2], "cannot be read as a .tar.gz"),
    "its last bytes missing": (ARCHIVE[:-5], "cannot be read as a .tar.gz"),
    "a bit turned": (
        ARCHIVE[:-50_000] + bytes([ARCHIVE[-50_000] ^ 4]) + ARCHIVE[-49_999:],
        "cannot be read as a .tar.gz",
    ),
    "empty": (b"", "cannot be read as a .tar.gz"),
    "a page of HTML": (b"<html>Sign in to the hotel's network</html>", "cannot be read as a .tar.gz"),
    "no checkpoint": (_archive({"saved_model/saved_model.pb": b"graph"}), "there is no checkpoint/ckpt-0.index in it"),
    "no data": (_archive({"checkpoint/ckpt-0.index": b"index"}), "there is no checkpoint/ckpt-0.data-00000-of-00001"),
    "a link": (_archive(FILES, _link()), "'.*checkpoint/link' is a link, a device, or leads out of it"),
    "a path that leads out": (_archive(stem="../.."), "leads out of it"),
    "an absolute path": (_archive(stem="/tmp"), "leads out of it"),  # noqa: S108 - that is what is refused
    "too many members": (_archive({str(number): b"" for number in range(10_001)}), "more than 10000 members"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_archive_of_the_zoo_is_neither_kept_nor_recorded(
    bring: Callable[..., archives.Archive], server: Any, tmp_path: Path, kind: str
) -> None:
    server.files[f"/{PLACE}"], told = HOSTILE[kind]
    with pytest.raises(ArchiveError, match=told) as raised:
        bring()
    assert "\n" not in str(raised.value)
    assert list((tmp_path / "zoo").iterdir()) == []
    assert not (tmp_path / "zoo.sha256").exists()


def test_a_bomb_is_left_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 50_000)
    (tmp_path / NAME).write_bytes(_archive({"zeros": bytes(10_000_000)}))
    with pytest.raises(ArchiveError, match="more than 10000 members or 50000 bytes"):
        archives.check(tmp_path / NAME)


def test_headers_count_like_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member = tarfile.TarInfo("a")
    member.pax_headers = {"comment": "c" * 30_000}
    (tmp_path / NAME).write_bytes(_archive({}, *[member] * 5))
    monkeypatch.setattr(archives, "MAX_BYTES", 100_000)
    with pytest.raises(ArchiveError, match="more than 10000 members or 100000 bytes"):
        archives.check(tmp_path / NAME)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME], ids=repr)
@pytest.mark.parametrize("size", [MAX_HEADER_BYTES + 1, 7 * 2**30, -512])
def test_a_header_is_not_taken_into_memory_whatever_size_it_announces(tmp_path: Path, kind: bytes, size: int) -> None:
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, size
    (tmp_path / NAME).write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    with pytest.raises(ArchiveError, match=f"a header announces {size} bytes"):
        archives.check(tmp_path / NAME)


def test_names_are_those_of_the_training_source() -> None:
    assert architectures.find("efficientdet_d6_coco17_tpu-32") == architectures.Architecture(
        "efficientdet_d6_1408x1408", "20200711/efficientdet_d6_coco17_tpu-32.tar.gz"
    )
    with pytest.raises(
        BadInputError, match=r"architecture 'efficientdet_d8' is not known: choose efficientdet_d0_512x512, "
    ):
        architectures.find("efficientdet_d8")


def test_the_command_puts_the_archive_where_jobs_read_it(
    deployed: Any, server: Any, mapgate: Mapgate, typed: Mapgate
) -> None:
    arguments = ("--endpoint-url", deployed.url, "zoo", "fetch", STEM, "--mirror", server.url)
    done = mapgate(*arguments)
    again = typed(*arguments, "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(again.stdout)
    uri = told["uri"]
    assert (told["name"], told["sha256"]) == ("ssd_mobilenet_v2_fpnlite_320x320", SHA256)
    assert (
        f"mapgate run DATA --architecture ssd_mobilenet_v2_fpnlite_320x320 --initial-checkpoint {uri}\n" in done.stdout
    )
    assert f"sha256 {SHA256}" in done.stdout
    prefix = uri.removeprefix(f"s3://{deployed.bucket}/")
    assert prefix.startswith("inputs/zoo/") and prefix.endswith("/")
    listed = deployed.client("s3").list_objects_v2(Bucket=deployed.bucket, Prefix="inputs/")["Contents"]
    assert [item["Key"] for item in listed] == [prefix + NAME]
    body = deployed.client("s3").get_object(Bucket=deployed.bucket, Key=prefix + NAME)["Body"].read()
    assert body == ARCHIVE
    assert len(server.ranges) == 1


def test_a_killed_command_goes_on_where_it_was(
    file_server: Callable[..., Any], nowhere: dict[str, str], typed: Mapgate, tmp_path: Path
) -> None:
    body = _archive({**FILES, "checkpoint/ckpt-0.data-00000-of-00001": os.urandom(4_000_000)})
    server = file_server({f"/{PLACE}": body})
    server.pause_after = 2_000_000
    arguments = ["zoo", "fetch", STEM, "--mirror", server.url, "--no-upload", "--json"]
    started = subprocess.Popen(_command(arguments), cwd=CHECKOUT, env=nowhere, stdout=subprocess.DEVNULL)
    partial = tmp_path / ".mapgate" / "zoo" / f"{NAME}.partial"
    _await_bytes(partial, 1_500_000)
    started.send_signal(signal.SIGKILL)
    started.wait(10)
    server.go_on()
    assert not partial.with_suffix("").exists()

    done = typed(*arguments)

    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["path"]).read_bytes() == body
    assert server.ranges[0] is None
    assert int(server.ranges[1].removeprefix("bytes=").removesuffix("-")) >= 1_500_000


def test_an_interrupted_command_says_that_it_can_go_on(server: Any, nowhere: dict[str, str], tmp_path: Path) -> None:
    server.pause_after = 10_000
    arguments = ["zoo", "fetch", STEM, "--mirror", server.url, "--no-upload"]
    started = subprocess.Popen(
        _command(arguments),
        cwd=CHECKOUT,
        env=nowhere,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores this signal, and so would its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    _await_bytes(tmp_path / ".mapgate" / "zoo" / f"{NAME}.partial", 10_000)
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=30)
    server.go_on()
    assert (started.returncode, told) == (130, "mapgate: interrupted; the same command goes on where this one ended\n")


def test_a_bucket_that_is_not_there_is_a_sentence(deployed: Any, server: Any, typed: Mapgate) -> None:
    url = ("--endpoint-url", deployed.url)
    done = typed(*url, "zoo", "fetch", STEM, "--mirror", server.url, "--bucket", "nobodys-bucket")
    assert done.returncode == 1
    assert "bucket" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((STEM,), 1, "cannot be reached"),
        ((STEM, "--checksum", "abc"), 2, "a SHA-256 has 64 hexadecimal digits"),
        (("ssd_mobilenet_v2_fpnlite_160x160",), 2, "the zoo has no checkpoint of ssd_mobilenet_v2_fpnlite_160x160"),
        (("yolo",), 2, "architecture 'yolo' is not known"),
    ],
)
def test_faults_are_one_sentence_each(
    typed: Mapgate, free_port: Callable[[], int], arguments: tuple[str, ...], code: int, told: str
) -> None:
    mirror = f"http://127.0.0.1:{free_port()}"
    done = typed("zoo", "fetch", *arguments, "--mirror", mirror, "--no-upload")
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_shows_an_example(typed: Mapgate) -> None:
    done = typed("zoo", "fetch", "--help")
    assert "mapgate zoo fetch efficientdet_d1_640x640" in " ".join(done.stdout.split())


def _await_bytes(path: Path, size: int) -> None:
    end = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size >= size) and time.monotonic() < end:
        time.sleep(0.02)


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", *arguments]
