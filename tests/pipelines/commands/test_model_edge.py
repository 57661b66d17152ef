# SPDX-License-Identifier: Apache-2.0
"""`mapgate model edge`: what a training wrote for edge devices comes to whoever asks, and nothing else does."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from localcloud import cloud as local_cloud
from tests.pipelines.registered import Registered

Mapgate = Callable[..., subprocess.CompletedProcess[str]]
PARITY = {"model_int8.tflite": {"map": 0.51, "map_float32": 0.52, "images": 60, "passed": True, "failures": []}}
FILES = {
    "edge/example.py": b"print('found')",
    "edge/labels.txt": b"car\n",
    "edge/model_int8.tflite": b"TFL3",
    "edge/parity.json": json.dumps(PARITY).encode(),
}
KEY = "models/job/output/output.tar.gz"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    yield local_cloud.up(home).endpoint_url
    local_cloud.down(home)


@pytest.fixture
def deployed(url: str, request: pytest.FixtureRequest) -> Registered:
    """With a version whose training's outputs lie where SageMaker puts them."""
    made = Registered(url, request.node.name.split("[")[0].replace("_", "-")[-24:].strip("-") + f"-{id(request) % 997}")
    made.version(model=f"s3://{made.names['data_bucket']}/models/job/output/model.tar.gz")
    return made


@pytest.fixture
def run(deployed: Registered, typed: Mapgate) -> Mapgate:
    """Runs `mapgate model edge` against the test's own deployment."""
    where = ("--endpoint-url", deployed.url, "--project", deployed.project)
    return lambda *words: typed(*where, "model", "edge", *words)


def packed(files: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    """A .tar.gz of files, or of members as they are."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in files.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return stream.getvalue()


def link(name: str, to: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    return member


def test_files_of_a_version_come_into_a_folder(deployed: Registered, run: Mapgate, tmp_path: Path) -> None:
    deployed.put(KEY, packed({"events": b"of TensorBoard", "edge.tar.gz": packed(FILES)}))
    done = run("1", "--output", str(tmp_path / "new" / "edge"))
    assert done.returncode == 0, done.stderr
    held = {f"edge/{file.name}": file.read_bytes() for file in (tmp_path / "new" / "edge").iterdir()}
    assert held == FILES
    assert "mAP 0.5100, float32's is 0.5200" in done.stdout
    assert "example.py" in done.stdout
    again = run("1", "--output", str(tmp_path / "new" / "edge"))
    assert (again.returncode, "something is there already" in again.stderr) == (2, True)


def test_scripts_are_told_the_same(deployed: Registered, run: Mapgate, tmp_path: Path) -> None:
    uri = deployed.put(KEY, packed({"edge.tar.gz": packed(FILES)}))
    told = json.loads(run("1", "--output", str(tmp_path / "edge"), "--json").stdout)
    assert told == {
        "version": 1,
        "uri": uri,
        "folder": str(tmp_path / "edge"),
        "files": {name.removeprefix("edge/"): len(content) for name, content in FILES.items()},
        "parity": PARITY,
    }


@pytest.mark.parametrize("outputs", [None, {"events": b"of TensorBoard"}])
def test_a_version_without_them_says_how_to_get_some(
    deployed: Registered, run: Mapgate, tmp_path: Path, outputs: dict[str, bytes] | None
) -> None:
    if outputs:
        deployed.put(KEY, packed(outputs))
    done = run("1", "--output", str(tmp_path / "edge"))
    assert done.returncode == 2
    assert "version 1 has no files for edge devices" in done.stderr
    assert "quantize=true" in done.stderr and "model export --to tflite" in done.stderr
    assert list(tmp_path.glob("edge*")) == []


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ({"edge/../../out": b"x"}, "no training of ours packs"),
        ({"/etc/out": b"x"}, "no training of ours packs"),
        ({"edge/sub/file": b"x"}, "no training of ours packs"),
        ({"edge/.profile": b"x"}, "no training of ours packs"),
        ({"edge/passwd": link("edge/passwd", "/etc/passwd")}, "no training of ours packs"),
        ({"edge/a": b"x", "./edge/a": b"y"}, "twice"),
        ({}, "is empty"),
    ],
)
def test_an_archive_that_does_harm_leaves_nothing(
    deployed: Registered, run: Mapgate, tmp_path: Path, inner: dict[str, bytes | tarfile.TarInfo], said: str
) -> None:
    deployed.put(KEY, packed({"edge.tar.gz": packed({**FILES, **inner} if inner else {})}))
    done = run("1", "--output", str(tmp_path / "edge"))
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert list(tmp_path.glob("**/*edge*")) == []


def test_a_damaged_archive_is_a_sentence(deployed: Registered, run: Mapgate, tmp_path: Path) -> None:
    whole = packed(FILES)
    for content in (packed({"edge.tar.gz": whole[:-6]}), b"no archive", packed({"edge.tar.gz": b"no archive"})):
        deployed.put(KEY, content)
        done = run("1", "--output", str(tmp_path / "edge"))
        assert (done.returncode, done.stdout) == (1, "")
        assert "cannot be read as a .tar.gz" in done.stderr
    assert list(tmp_path.glob("edge*")) == []


def test_an_archive_that_announces_too_much_is_not_read(
    deployed: Registered, run: Mapgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.client.edge.MAX_BYTES", 2**20)
    deployed.put(KEY, packed({"edge.tar.gz": packed({"edge/model_int8.tflite": bytes(2**20)})}))
    done = run("1", "--output", str(tmp_path / "edge"))
    assert (done.returncode, "bytes: nothing was unpacked" in done.stderr) == (1, True)
