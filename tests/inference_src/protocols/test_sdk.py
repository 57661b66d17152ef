# SPDX-License-Identifier: Apache-2.0
"""SageMaker's SDKs get answers that they can read, with their own defaults.

`sdk/requests_of_*.json` holds what each version really sends; the tests that run a version compare. To record anew,
delete the file and run its test.
"""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from tests.inference_src.protocols.sdk.runtime import Recorded, invoke, runtime_endpoint

if TYPE_CHECKING:
    from tests.inference_src.conftest import Served

ROOT = Path(__file__).parents[3]
SDK = Path(__file__).parent / "sdk"
VERSION_2 = "sagemaker==2.257.*"
VERSION_3 = ROOT / ".venv-definition" / "bin" / "python"
LEVELS = (200, 100, 50)
"""Of the picture's red, green and blue; the model's scores are their means."""


def recorded(version: int) -> dict[str, Recorded]:
    path = SDK / f"requests_of_{version}.json"
    requests: dict[str, Recorded] = json.loads(path.read_text()) if path.exists() else {}
    return requests


REQUESTS = [
    pytest.param(request, id=f"{version}: {call}") for version in (2, 3) for call, request in recorded(version).items()
]


@pytest.fixture(scope="module")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of one colour, as JPEG and as an array."""
    folder = tmp_path_factory.mktemp("picture")
    pixels: NDArray[np.uint8] = np.full((6, 8, 3), LEVELS, np.uint8)
    (folder / "picture.jpg").write_bytes(simplejpeg.encode_jpeg(pixels, quality=100, colorsubsampling="444"))
    np.save(folder / "picture.npy", pixels)
    return folder


@pytest.mark.parametrize("request_", REQUESTS)
def test_what_the_sdks_send_is_answered_in_the_form_that_they_read(server: "Served", request_: Recorded) -> None:
    status, headers, body = invoke(server.port, request_)
    assert status == 200, body
    accepted = request_["accept"] or "*/*"
    assert headers["content-type"] in accepted or accepted == "*/*"
    assert headers.get("x-amzn-sagemaker-custom-attributes") == request_["custom_attributes"]
    npy = headers["content-type"] == "application/x-npy"
    check(np.load(io.BytesIO(body), allow_pickle=False).tolist() if npy else json.loads(body), request_)


@pytest.mark.slow
@pytest.mark.skipif(not VERSION_3.exists(), reason="no SageMaker SDK: run `make .venv-definition/ready`")
def test_version_3_s_users_get_their_answers(server: "Served", picture_folder: Path) -> None:
    try_out(VERSION_3, 3, server, picture_folder)


@pytest.mark.verify
def test_version_2_s_users_get_their_answers(server: "Served", picture_folder: Path, tmp_path: Path) -> None:
    """Installed for this test, into its folder."""
    for command in (
        ["uv", "venv", "--quiet", "--python", sys.executable, str(tmp_path / "sdk")],
        ["uv", "pip", "install", "--quiet", "--python", str(tmp_path / "sdk" / "bin" / "python"), VERSION_2],
    ):
        subprocess.run(command, check=True)
    try_out(tmp_path / "sdk" / "bin" / "python", 2, server, picture_folder)


def try_out(python: Path, version: int, server: "Served", folder: Path) -> None:
    """Let an SDK ask, look at what its user gets, and hold what it sent against the recording."""
    with runtime_endpoint(server.port) as (address, sent):
        done = subprocess.run(
            [str(python), str(SDK / "calls.py"), address, str(folder)],
            env={"HOME": str(folder), "SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    got: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    requests = dict(zip(got, sent, strict=True))
    for call, answer in got.items():
        check(answer, requests[call])
    path = SDK / f"requests_of_{version}.json"
    if not path.exists():
        path.write_text(json.dumps(requests, indent=2) + "\n")
    assert requests == recorded(version)


def check(answer: Any, request: Recorded) -> None:
    """Find the scores of the picture's three objects in what a user gets, or of the first if only one was wanted."""
    wanted = np.array(LEVELS) / 255
    if "mapgate-max-detections=1" in (request["custom_attributes"] or ""):
        wanted = wanted[:1]
    assert scores(answer) == pytest.approx(wanted, abs=0.01)


def scores(answer: Any) -> list[float]:
    match answer:
        case {"scores": [*found], "labels": ["vehicle", "pedestrian", "cyclist"]}:
            return found
        case {"predictions": [{"detection_scores": [*found], "num_detections": float(count)}, *_]}:
            return found[: int(count)]
        case {"outputs": {"detection_scores": [[*found], *_], "num_detections": [float(count), *_]}}:
            return found[: int(count)]
        case [dict() as line]:
            return scores(line)
        case [*_]:
            return [float(row[4]) for row in np.array(answer).reshape(-1, 6)]
    raise AssertionError(f"no scores in {answer}")
