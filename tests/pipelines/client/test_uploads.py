# SPDX-License-Identifier: Apache-2.0
"""Prefixes named by content, and uploads that send what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from pipelines.client.connection import Connection
from pipelines.client.uploads import content_sha256, files_of, upload
from pipelines.errors import BadInputError


def _folder(path: Path) -> Path:
    (path / "images").mkdir(parents=True)
    (path / "images" / "a.jpg").write_bytes(b"a")
    (path / "annotations.json").write_text("{}")
    return path


def test_the_hash_is_that_of_names_and_bytes_alone(tmp_path: Path) -> None:
    first = _folder(tmp_path / "first")
    second = Path(shutil.copytree(first, tmp_path / "second"))
    os.utime(second / "annotations.json", (1, 1))
    (second / ".DS_Store").write_bytes(b"noise")

    assert content_sha256(first) == content_sha256(second)


@pytest.mark.parametrize("change", ["rename", "edit", "add"])
def test_the_hash_changes_with_the_content(tmp_path: Path, change: str) -> None:
    folder = _folder(tmp_path / "folder")
    before = content_sha256(folder)

    if change == "rename":
        (folder / "images" / "a.jpg").rename(folder / "images" / "b.jpg")
    elif change == "edit":
        (folder / "annotations.json").write_text("[]")
    else:
        (folder / "images" / "b.jpg").write_bytes(b"b")

    assert content_sha256(folder) != before


def test_bytes_cannot_move_between_a_name_and_a_file(tmp_path: Path) -> None:
    for name, file, body in (("one", "ab", b"c"), ("two", "a", b"bc")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(body)

    assert content_sha256(tmp_path / "one") != content_sha256(tmp_path / "two")


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nowhere: no such file or folder"):
        list(files_of(tmp_path / "nowhere"))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no file"):
        list(files_of(tmp_path))


BUCKET = "mapgate-dev-data"


class Bucket:
    """A bucket of moto's, and the keys that were sent to it.

    Attributes:
        unreachable: Keys that end so are refused.
    """

    def __init__(self) -> None:
        self.connection = Connection(region="us-east-1")
        self.s3 = self.connection.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.sent: list[str] = []
        self.unreachable = "/nothing"
        self.s3.meta.events.register("provide-client-params.s3.PutObject", self._note)

    def _note(self, params: dict[str, Any], **_: object) -> None:
        if params["Key"].endswith(self.unreachable):
            raise ConnectionError("the network is gone")
        self.sent.append(params["Key"].rsplit("/", 1)[-1])

    def objects(self) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {item["Key"]: self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in listed}


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with mock_aws():
        yield Bucket()


def test_a_folder_goes_under_the_hash_of_its_content(bucket: Bucket, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "set")
    (folder / ".hidden").write_text("no")

    uri = upload(bucket.connection, folder, BUCKET, under="datasets")

    prefix = f"datasets/{content_sha256(folder)[:16]}/"
    assert uri == f"s3://{BUCKET}/{prefix}"
    assert bucket.objects() == {f"{prefix}images/a.jpg": b"a", f"{prefix}annotations.json": b"{}"}


def test_a_file_keeps_its_name(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "gate_policy.yaml").write_text("mAP: 0.3")

    uri = upload(bucket.connection, tmp_path / "gate_policy.yaml", BUCKET, under="inputs")

    assert [f"s3://{BUCKET}/{key}" for key in bucket.objects()] == [f"{uri}gate_policy.yaml"]


def test_what_is_there_is_not_sent_again(bucket: Bucket, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "set")
    first = upload(bucket.connection, folder, BUCKET, under="datasets")
    bucket.sent.clear()

    assert upload(bucket.connection, folder, BUCKET, under="datasets") == first
    assert bucket.sent == []


def test_an_object_of_another_size_is_sent_again(bucket: Bucket, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "set")
    upload(bucket.connection, folder, BUCKET, under="datasets")
    (key,) = (key for key in bucket.objects() if key.endswith("annotations.json"))
    bucket.s3.put_object(Bucket=BUCKET, Key=key, Body=b"{")
    bucket.sent.clear()

    upload(bucket.connection, folder, BUCKET, under="datasets")

    assert bucket.sent == ["annotations.json"]
    assert bucket.objects()[key] == b"{}"


def test_an_upload_that_was_cut_off_goes_on_where_it_was(bucket: Bucket, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "set")
    (folder / "images" / "b.jpg").write_bytes(b"b" * 1000)
    bucket.unreachable = "b.jpg"
    with pytest.raises(ConnectionError):
        upload(bucket.connection, folder, BUCKET, under="datasets")
    bucket.unreachable, bucket.sent = "/nothing", []
    told: list[tuple[int, int]] = []

    upload(bucket.connection, folder, BUCKET, under="datasets", progress=lambda *bytes_: told.append(bytes_))

    assert bucket.sent == ["b.jpg"]
    assert told == [(1003, 1003)]
    assert sorted(len(body) for body in bucket.objects().values()) == [1, 2, 1000]
