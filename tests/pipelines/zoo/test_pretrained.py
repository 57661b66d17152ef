# SPDX-License-Identifier: Apache-2.0
"""The pre-trained detector out of an npm package, and every way in which another thing must not take its place."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.errors import BadInputError, MapgateError
from pipelines.zoo import npm as npm_of
from pipelines.zoo import pretrained
from pipelines.zoo.pretrained import FILES, Pretrained, fetch, is_there, pinned
from tests.conftest import MadeOnce
from tests.training_src.models.checkpoints.litert_file import random_litert
from training_src.data.label_map import read_label_map
from training_src.models.checkpoints.files import write

Mapgate = Callable[..., subprocess.CompletedProcess[str]]
LABELS = b"???\nCar\nStationary bicycle\n"
PACKAGE, VERSION = "@street/detector", "0.4.17"


class Registry:
    """A registry of npm's, with one package; each part of what it serves can be changed.

    Attributes:
        server: What it serves, and what it was asked.
        source: What a checkout would pin of it.
    """

    def __init__(self, server: Any, content: bytes) -> None:
        self.server = server
        self.source = Pretrained(
            name="ssd_mobilenet_v2_street",
            package=PACKAGE,
            version=VERSION,
            integrity="",
            file="assets.data",
            sha256=hashlib.sha256(content).hexdigest(),
            label_map=(0, len(LABELS)),
            model=(len(LABELS), len(content)),
            architecture="ssd_mobilenet_v2_320x320",
            checkpoint_sha256="",
            licence="Apache-2.0",
        )
        self.publish({"package/assets.data": content, "package/package.json": b"{}"})
        self.pin(integrity=self.integrity)

    def publish(self, files: dict[str, bytes]) -> None:
        """Serve a package of these files."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, body in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
        archive = packed.getvalue()
        self.integrity = f"sha512-{base64.b64encode(hashlib.sha512(archive).digest()).decode()}"
        described = {"tarball": f"{self.server.url}/detector.tgz", "integrity": self.integrity}
        version = {"name": PACKAGE, "version": VERSION, "dist": described}
        document = {"name": PACKAGE, "dist-tags": {"latest": VERSION}, "versions": {VERSION: version}}
        self.server.files["/detector.tgz"] = archive
        self.server.files[f"/{PACKAGE.replace('/', '%2f')}"] = json.dumps(document).encode()

    def pin(self, **changes: object) -> None:
        """Change what the checkout pins."""
        self.source = self.source.model_copy(update=changes)


@pytest.fixture(scope="session")
def converted(made_once: MadeOnce) -> Path:
    """A folder with a LiteRT file of random weights for two classes, and what is to come of it, `ckpt-0`."""

    def make(folder: Path) -> None:
        write(str(folder / "ckpt-0"), random_litert(folder / "model.tflite", "ssd_mobilenet_v2_320x320", 2))

    return made_once("converted-litert", make)


@pytest.fixture
def street(npm: Path, file_server: Callable[..., Any], converted: Path) -> Registry:
    """The registry of the package's scope alone, with a package that holds a detector."""
    registry = Registry(file_server({}), LABELS + (converted / "model.tflite").read_bytes())
    npm.write_text(f"@street:registry={registry.server.url}\nregistry=http://127.0.0.1:9\n")
    data = (converted / pretrained.DATA.name).read_bytes()
    registry.pin(checkpoint_sha256=hashlib.sha256(data).hexdigest())
    return registry


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's .npmrc, and a cache of the test's own."""
    config = tmp_path / "npmrc"
    config.write_text("")
    monkeypatch.setenv("npm_config_userconfig", str(config))
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    return config


@pytest.fixture
def registry(npm: Path, file_server: Callable[..., Any]) -> Registry:
    """npm's only one, with a package whose file holds no model."""
    registry = Registry(file_server({}), LABELS + b"no model")
    npm.write_text(f"registry={registry.server.url}\n")
    return registry


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return tmp_path / "zoo"


def shown(zoo: Path) -> list[str]:
    """What lies in the zoo's folder, but for the lock."""
    return [str(path.relative_to(zoo)) for path in sorted(zoo.rglob("*")) if path.suffix != ".lock"]


def kept(zoo: Path, source: Pretrained) -> Pretrained:
    """Lay a detector there, and pin its bytes."""
    for file in FILES:
        (zoo / source.name / file).parent.mkdir(parents=True, exist_ok=True)
        (zoo / source.name / file).write_text("whole")
    (zoo / source.name / pretrained.DATA).write_bytes(b"weights")
    source = source.model_copy(update={"checkpoint_sha256": hashlib.sha256(b"weights").hexdigest()})
    (zoo / source.name / "source.json").write_text(source.model_dump_json())
    return source


def test_the_detector_comes_from_the_registry_of_the_users_npmrc(street: Registry, converted: Path, zoo: Path) -> None:
    said: list[str] = []

    fetched = fetch(street.source, zoo, said.append)

    folder = zoo / "ssd_mobilenet_v2_street"
    assert (fetched.path, fetched.new) == (folder, True)
    assert shown(folder) == [
        "README.md",
        "checkpoint",
        "checkpoint/ckpt-0.data-00000-of-00001",
        "checkpoint/ckpt-0.index",
        "label_map.pbtxt",
        "pipeline.config",
        "source.json",
    ]
    assert [path.name for path in zoo.iterdir() if path.suffix != ".lock"] == [folder.name]
    assert read_label_map(folder / "label_map.pbtxt").names == {1: "Car", 2: "Stationary bicycle"}
    assert "num_classes: 2" in (folder / "pipeline.config").read_text()
    for file in ("ckpt-0.index", "ckpt-0.data-00000-of-00001"):
        assert (folder / "checkpoint" / file).read_bytes() == (converted / file).read_bytes()
    assert json.loads((folder / "source.json").read_text())["integrity"] == street.integrity
    card, source = (folder / "README.md").read_text(), street.source
    for told in (source.sha256, source.checkpoint_sha256, "Apache-2.0", f"`{PACKAGE}` {VERSION}", "Car, Stationary"):
        assert told in card
    assert said == [f"npm brings {PACKAGE} {VERSION}", "converting assets.data"]
    asked = len(street.server.ranges)
    assert fetch(street.source, zoo, said.append) == pretrained.Fetched(folder, new=False)
    assert (len(street.server.ranges), len(said)) == (asked, 2)


def test_a_conversion_that_gives_other_bytes_is_refused(street: Registry, zoo: Path) -> None:
    street.pin(checkpoint_sha256="ab" * 32)
    with pytest.raises(MapgateError, match=r"checkpoint's SHA-256 is .*, but pretrained\.json pins abab"):
        fetch(street.source, zoo, print)
    assert shown(zoo) == []


def test_a_detector_that_is_here_needs_no_npm(zoo: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    source = kept(zoo, registry.source)
    monkeypatch.setattr(sys, "prefix", str(zoo))
    monkeypatch.setenv("PATH", str(zoo))
    assert not fetch(source, zoo, print).new


@pytest.mark.parametrize("file", [*FILES, Path("source.json"), pretrained.DATA])
def test_a_detector_without_one_of_its_files_is_not_there(zoo: Path, registry: Registry, file: Path) -> None:
    source = kept(zoo, registry.source)
    assert is_there(source, zoo)
    (zoo / source.name / file).unlink()
    assert not is_there(source, zoo)


def test_another_pin_or_other_weights_are_not_the_detector(zoo: Path, registry: Registry) -> None:
    source = kept(zoo, registry.source)
    assert not is_there(source.model_copy(update={"version": "0.5"}), zoo)
    (zoo / source.name / pretrained.DATA).write_bytes(b"weightS")
    assert not is_there(source, zoo)


def _another_archive(registry: Registry) -> None:
    registry.publish({"package/assets.data": LABELS + b"another model"})


def _no_such_file(registry: Registry) -> None:
    registry.publish({"package/other.data": b""})
    registry.pin(integrity=registry.integrity)


def _link(registry: Registry) -> None:
    registry.pin(file="../../../etc/passwd")


def _no_such_version(registry: Registry) -> None:
    registry.pin(version="0.4.18")


def _no_such_package(registry: Registry) -> None:
    registry.server.files.clear()


def _other_bytes(registry: Registry) -> None:
    registry.pin(sha256="ab" * 32)


def _harmed_on_the_way(registry: Registry) -> None:
    registry.server.files["/detector.tgz"] = registry.server.files["/detector.tgz"][:-9]


FAULTS = {
    "another archive": (_another_archive, "has integrity sha512-.*, pretrained.json pins sha512-.* ask whoever keeps"),
    "no such file": (_no_such_file, "there is no assets.data in it"),
    "a path that leads out": (_link, "there is no ../../../etc/passwd in it"),
    "no such version": (_no_such_version, r"npm cannot bring .* from http://127.*\(ETARGET: No matching version"),
    "no such package": (_no_such_package, r"npm cannot bring .* from http://127.*\(E404: .*is that registry the right"),
    "other bytes in the file": (_other_bytes, "assets.data: its SHA-256 is .*, but pretrained.json pins abab"),
    "harmed on the way": (_harmed_on_the_way, r"npm cannot bring .* from http://127.*\(EINTEGRITY: "),
    "no model": (lambda _: None, "could not be converted: this is no LiteRT file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_the_pinned_detector_is_a_sentence_and_nothing_is_kept(
    registry: Registry, zoo: Path, fault: str
) -> None:
    change, told = FAULTS[fault]
    change(registry)
    with pytest.raises(MapgateError, match=told) as raised:
        fetch(registry.source, zoo, print)
    assert (raised.value.exit_code, len(str(raised.value).splitlines())) == (1, 1)
    assert shown(zoo) == []


def test_a_failed_fetch_leaves_what_was_there(registry: Registry, zoo: Path) -> None:
    source = kept(zoo, registry.source)
    before = shown(zoo)
    with pytest.raises(MapgateError):
        fetch(source.model_copy(update={"version": "0.5"}), zoo, print)
    assert shown(zoo) == before
    assert is_there(source, zoo)


def test_without_network_a_sentence_names_the_way_out(
    registry: Registry, npm: Path, zoo: Path, free_port: Callable[[], int]
) -> None:
    npm.write_text(f"registry=http://127.0.0.1:{free_port()}\n")
    with pytest.raises(MapgateError, match=r"ECONNREFUSED.*needs the network, or a mirror: `npm config set registry"):
        fetch(registry.source, zoo, print)
    assert shown(zoo) == []


def test_without_npm_a_sentence_names_the_way_out(
    registry: Registry, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(zoo))
    monkeypatch.setenv("PATH", str(zoo))
    with pytest.raises(BadInputError, match="npm is not installed here: `make setup` brings it"):
        fetch(registry.source, zoo, print)
    assert shown(zoo) == []


def test_without_what_converts_nothing_is_downloaded(
    registry: Registry, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "CONVERTER", ("tensorflow", "no_such_package"))
    with pytest.raises(BadInputError, match="needs no_such_package, not installed here: run `make setup`"):
        fetch(registry.source, zoo, print)
    assert registry.server.ranges == []


def test_a_machines_own_npm_will_do(zoo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "npm").touch(mode=0o755)
    monkeypatch.setattr(sys, "prefix", str(zoo))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert npm_of.command() == [str(tmp_path / "npm")]


def test_what_is_pinned_is_whole() -> None:
    source = pinned()
    assert source.name == "ssd_mobilenet_v2_300x300_open_images"
    assert len(base64.b64decode(source.integrity.removeprefix("sha512-"))) == 64
    assert {len(source.sha256), len(source.checkpoint_sha256)} == {64}
    assert source.label_map[1] == source.model[0]


@pytest.fixture
def pinned_here(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Pretrained:
    """A detector that the checkout pins and that lies in the home of the command."""
    source = kept(tmp_path / ".mapgate" / "zoo", registry.source)
    (tmp_path / "pretrained.json").write_text(source.model_dump_json())
    monkeypatch.setattr(pretrained, "PINNED", tmp_path / "pretrained.json")
    return source


def test_the_command_puts_the_folder_where_jobs_read_it(
    deployed: Any, pinned_here: Pretrained, typed: Mapgate, tmp_path: Path
) -> None:
    done = typed("--endpoint-url", deployed.url, "zoo", "fetch", pinned_here.name)
    told = json.loads(typed("--endpoint-url", deployed.url, "zoo", "fetch", pinned_here.name, "--json").stdout)

    assert done.returncode == 0, done.stderr
    uri = told["uri"]
    assert f"mapgate run DATA --architecture ssd_mobilenet_v2_320x320 --initial-checkpoint {uri}\n" in done.stdout
    assert f"was here  {tmp_path}/.mapgate/zoo/{pinned_here.name}\n" in done.stdout
    assert told["sha256"] == pinned_here.checkpoint_sha256
    prefix = uri.removeprefix(f"s3://{deployed.bucket}/")
    assert prefix.startswith("inputs/zoo/")
    listed = deployed.client("s3").list_objects_v2(Bucket=deployed.bucket, Prefix=prefix)["Contents"]
    names = sorted(str(file) for file in (*FILES, pretrained.DATA, Path("source.json")))
    assert [item["Key"].removeprefix(prefix) for item in listed] == names


def test_the_list_shows_what_is_here(pinned_here: Pretrained, typed: Mapgate) -> None:
    rows = json.loads(typed("zoo", "list", "--json").stdout)
    assert rows[0] == {"name": pinned_here.name, "source": f"npm {PACKAGE} {VERSION}", "here": True}
    assert {"ssd_mobilenet_v2_320x320", "efficientdet_d1_640x640"} <= {row["name"] for row in rows if not row["here"]}
    assert f"{pinned_here.name}" in typed("zoo", "list").stdout


def test_a_checksum_of_ones_own_is_refused(pinned_here: Pretrained, typed: Mapgate) -> None:
    done = typed("zoo", "fetch", pinned_here.name, "--no-upload", "--checksum", "ab" * 32)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--checksum goes with archives of the zoo" in done.stderr


def test_a_command_without_network_ends_with_one_sentence(
    mapgate: Mapgate, free_port: Callable[[], int], tmp_path: Path
) -> None:
    settings = {"npm_config_registry": f"http://127.0.0.1:{free_port()}", "npm_config_cache": str(tmp_path / "cache")}
    done = mapgate("zoo", "fetch", pinned().name, "--no-upload", **settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert "this needs the network" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_an_account_the_way_to_keep_it_here_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("MAPGATE_HOME", str(tmp_path))
    told = CliRunner().invoke(app, ["zoo", "fetch", pinned().name])
    assert isinstance(told.exception, BadInputError)
    assert "You must specify a region: or take --no-upload, which keeps it on this machine" in str(told.exception)
