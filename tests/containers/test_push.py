# SPDX-License-Identifier: Apache-2.0
"""`mapgate images push` against a real registry: what arrives has the manifest that SageMaker takes."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from containers.tags import image_tag
from localcloud.pushing import MANIFEST
from pipelines.client.images import CHECKOUT, Image, is_pushed, push

if TYPE_CHECKING:
    from tests.containers.conftest import Engine

OCI = "application/vnd.oci.image.manifest.v1+json"
CONFIGURATION = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""

pytestmark = pytest.mark.timeout(2400)


@dataclass(frozen=True)
class Registry:
    """A registry on loopback, asked as ECR is asked, in the place of a connection to an account."""

    port: int
    is_emulated = False

    def client(self, _: str) -> Registry:
        return self

    def get_authorization_token(self) -> dict[str, Any]:
        return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:nobody asks").decode()}]}

    def batch_get_image(self, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        response = self.ask("GET", f"{repositoryName}/manifests/{imageIds[0]['imageTag']}", Accept=f"{MANIFEST}, {OCI}")
        found = [{"imageManifestMediaType": response.headers["Content-Type"]}] if response.status == 200 else []
        return {"images": found}

    def batch_delete_image(self, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        response = self.ask("GET", f"{repositoryName}/manifests/{imageIds[0]['imageTag']}", Accept=f"{MANIFEST}, {OCI}")
        digest = response.headers["Docker-Content-Digest"]
        assert self.ask("DELETE", f"{repositoryName}/manifests/{digest}").status == 202
        return {"failures": []}

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, f"/v2/{path}", body, headers)
        response = connection.getresponse()
        response.read()
        return response

    def put_oci(self, repository: str, tag: str) -> None:
        """An image as current engines push it by default."""
        config = b"{}"
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        begun = self.ask("POST", f"{repository}/blobs/uploads/").headers["Location"]
        place = begun.partition("/v2/")[2]
        assert self.ask("PUT", f"{place}&digest={digest}", config).status == 201
        described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": OCI, "config": described, "layers": []}
        put = self.ask("PUT", f"{repository}/manifests/{tag}", json.dumps(manifest).encode(), **{"Content-Type": OCI})
        assert put.status == 201


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed: Debian's package of that name has it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (tmp_path / "config.yml").write_text(CONFIGURATION.format(folder=tmp_path / "registry", port=port))
    process = subprocess.Popen(
        [program, "serve", tmp_path / "config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline and process.poll() is None, "the registry does not answer"
            time.sleep(0.1)
        yield Registry(port)
    finally:
        process.kill()
        process.wait()


def test_the_training_image_holds_the_pretrained_detector(
    engine: Engine, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(engine.docker).parent), prepend=":")
    image = Image("training", f"127.0.0.1:{registry.port}", "mapgate-dev-training", image_tag(CHECKOUT, "training"))
    detector = tmp_path / "ssd_mobilenet_v2_street"
    (detector / "checkpoint").mkdir(parents=True)
    (detector / "checkpoint" / "ckpt-0.index").write_text("index")
    connection: Any = registry

    push(connection, image, accelerator="cpu", home=tmp_path, pretrained=detector)

    script = "from training_src.training.initial_checkpoint import PRETRAINED; print(*sorted(PRETRAINED.rglob('*')))"
    held = engine.ask("run", "--rm", "--entrypoint", "python", image.uri, "-c", script)
    folder = "/opt/program/pretrained"
    checkpoint = f"{folder}/ssd_mobilenet_v2_street/checkpoint"
    assert held.split() == [
        f"{folder}/pretrained.json",
        f"{folder}/ssd_mobilenet_v2_street",
        checkpoint,
        f"{checkpoint}/ckpt-0.index",
    ]
    engine.ask("image", "rm", image.uri)


def test_what_arrives_is_what_sagemaker_takes_in_the_place_of_what_it_refuses(
    engine: Engine,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(Path(engine.docker).parent), prepend=":")
    image = Image("inference", f"127.0.0.1:{registry.port}", "mapgate-dev-inference", image_tag(CHECKOUT, "inference"))
    registry.put_oci(image.repository, image.tag)
    connection: Any = registry
    assert not is_pushed(connection, image)

    push(connection, image, accelerator="cpu", home=tmp_path)

    assert is_pushed(connection, image)
    assert f"is there as {OCI}, which SageMaker refuses" in capsys.readouterr().err
    engine.ask("image", "rm", image.uri)
