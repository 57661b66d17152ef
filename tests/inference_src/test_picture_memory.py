# SPDX-License-Identifier: Apache-2.0
"""Decoded pictures share a bound; nobody waits for ever, and nobody is passed by those who came later."""

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
import simplejpeg
from openvino import opset13 as ops
from PIL import Image

from containers.contract.errors import BadInputError
from inference_src.errors import RequestError
from inference_src.picture_memory import PictureMemory, most_picture_bytes
from tests.conftest import MadeOnce
from tests.inference_src.conftest import Served, Servers, describe
from tests.picture_files import with_orientation

PATIENT = 30.0


def test_bytes_in_hand_never_exceed_the_bound() -> None:
    memory, taken, greatest, lock = PictureMemory(100), 0, 0, threading.Lock()

    def work(count: int) -> None:
        nonlocal taken, greatest
        with memory.taken(count, PATIENT):
            with lock:
                taken += count
                greatest = max(greatest, taken)
            time.sleep(0.001)
            with lock:
                taken -= count

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, [7, 30, 55, 90, 100, 1] * 30))
    assert taken == 0
    assert 55 < greatest <= 100


def test_what_is_more_than_all_runs_alone() -> None:
    memory, together = PictureMemory(100), 0

    def work(count: int) -> None:
        nonlocal together
        with memory.taken(count, PATIENT):
            together += count > 100
            assert together <= 1
            time.sleep(0.002)
            together -= count > 100

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [1000, 10, 500] * 10))
    with memory.taken(1000, 0):
        pass


def test_who_waits_too_long_is_sent_away_and_holds_up_nobody() -> None:
    memory = PictureMemory(100)
    with memory.taken(60, 0):
        with pytest.raises(RequestError, match="try again in a moment") as refused, memory.taken(60, 0.01):
            pass
        assert refused.value.status == 429
        with memory.taken(40, 0):
            pass


def test_a_large_picture_is_not_passed_by_small_ones_for_ever() -> None:
    memory, order = PictureMemory(100), []

    def work(count: int) -> None:
        with memory.taken(count, PATIENT):
            order.append(count)

    with ThreadPoolExecutor(2) as threads:
        with memory.taken(60, 0):
            large = threads.submit(work, 90)
            _until(lambda: len(memory._waiting) == 1)
            small = threads.submit(work, 10)  # it would fit, but came later
            _until(lambda: len(memory._waiting) == 2)
            assert order == []
        large.result()
        small.result()
    assert order == [90, 10]


def test_bytes_are_given_back_whatever_happens() -> None:
    memory = PictureMemory(100)
    with pytest.raises(ZeroDivisionError), memory.taken(100, 0):
        raise ZeroDivisionError
    with memory.taken(100, 0):
        pass


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cgroup/memory.max": "2000000000\n", "meminfo": "MemTotal: 8000000 kB\n"}, 500_000_000),
        ({"cgroup/memory/memory.limit_in_bytes": "1000000000\n", "meminfo": "MemTotal: 8000000 kB\n"}, 250_000_000),
        ({"cgroup/memory.max": "max\n", "meminfo": "MemTotal:       4000000 kB\n"}, 1_024_000_000),
        # Version 1 without a limit says a number near 2^63.
        ({"cgroup/memory/memory.limit_in_bytes": "9223372036854771712", "meminfo": "MemTotal: 4000 kB"}, 1_024_000),
        ({}, 1_000_000_000),
    ],
)
def test_a_quarter_of_the_container_s_memory_is_for_pictures(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert most_picture_bytes({}, tmp_path / "cgroup", tmp_path / "meminfo") == expected
    assert most_picture_bytes({"MAPGATE_PICTURE_MEGABYTES": "300"}, tmp_path / "cgroup") == 300_000_000


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "9" * 20])
def test_a_bound_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="MAPGATE_PICTURE_MEGABYTES"):
        most_picture_bytes({"MAPGATE_PICTURE_MEGABYTES": text})


@pytest.fixture(scope="module")
def corner_model(made_once: MadeOnce) -> Path:
    """A model that reads bytes only, as exported ones do: the colours of the left upper pixel are its three scores."""

    def make(folder: Path) -> None:
        picture = ops.parameter([1, -1, -1, 3], np.uint8, "input_tensor")
        row = ops.gather(picture, np.array([0]), np.array(1))
        colours = ops.convert(ops.gather(row, np.array([0]), np.array(2)), "f32")
        scores = ops.divide(ops.reshape(colours, [1, 3], False), np.float32(255))
        nothing = ops.multiply(scores, np.float32(0))  # an output that is constant loses its name
        boxes = ops.add(ops.unsqueeze(nothing, np.array(2)), np.array([[[0, 0, 0.5, 0.5]]], np.float32))
        values = {
            "detection_boxes": boxes,
            "detection_scores": scores,
            "detection_classes": ops.add(nothing, np.array([[1, 2, 4]], np.float32)),
            "num_detections": ops.add(ops.reduce_min(nothing, [1], False), np.float32(3)),
        }
        for name, value in values.items():
            value.output(0).set_names({name})
        model = ov.Model([ops.result(value) for value in values.values()], [picture])
        (folder / "runtimes/openvino").mkdir(parents=True)
        ov.save_model(model, folder / "runtimes/openvino/model.xml", compress_to_fp16=False)
        describe(folder)

    return made_once("inference-corner-model", make)


@pytest.fixture(scope="module")
def corner_server(session_servers: Servers, corner_model: Path) -> Served:
    return session_servers.start(corner_model, MAPGATE_RUNTIME="openvino")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_model_sees_the_upright_picture(corner_server: Served, orientation: int) -> None:
    corners = np.zeros((16, 24, 3), np.uint8)
    corners[0, 0], corners[0, -1], corners[-1, 0], corners[-1, -1] = (60, 0, 0), (120, 0, 0), (180, 0, 0), (240, 0, 0)
    encoded = with_orientation(cv2.imencode(".png", corners[:, :, ::-1])[1].tobytes(), orientation)
    status, answer = corner_server.request(encoded, "application/x-image")
    # Which stored corner is the upper left of the upright picture: https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf
    corner = {1: 60, 2: 120, 3: 240, 4: 180, 5: 60, 6: 180, 7: 240, 8: 120}[orientation]
    assert (status, max(answer["scores"])) == (200, pytest.approx(corner / 255))


def test_more_pictures_than_there_is_room_for_wait_for_one_another_and_leave_nothing_behind(
    servers: Servers, corner_model: Path
) -> None:
    """Four phones' pictures of 12 megapixels, which are turned and so take 72 MB each, in room for one."""
    noise = cv2.resize(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8), (4000, 3000))
    body = with_orientation(bytes(simplejpeg.encode_jpeg(noise, quality=80)), 6)
    room = {"MAPGATE_PICTURE_MEGABYTES": "80", "MAPGATE_MAX_WAIT_SECONDS": "30"}
    served = servers.start(corner_model, MAPGATE_RUNTIME="openvino", **room)
    assert served.request(body[:300], "image/jpeg")[0] == 400
    before = _kilobytes(served, "VmRSS")

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: served.request(body, "image/jpeg"), range(4)))

    assert [status for status, _ in answers] == [200] * 4
    assert _kilobytes(served, "VmRSS") - before < 50_000
    assert 65_000 < _kilobytes(served, "VmHWM") - before < 130_000


def test_progressive_pictures_wait_for_one_another_with_all_that_decoding_holds(
    servers: Servers, corner_model: Path
) -> None:
    """Each takes 9 bytes a pixel until its last scan is read: two at a time would take 216 MB."""
    noise = cv2.resize(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8), (4000, 3000))
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG", progressive=True, subsampling=0)
    room = {"MAPGATE_PICTURE_MEGABYTES": "120", "MAPGATE_MAX_WAIT_SECONDS": "30"}
    served = servers.start(corner_model, MAPGATE_RUNTIME="openvino", **room)
    assert served.request(stream.getvalue()[:300], "image/jpeg")[0] == 400
    before = _kilobytes(served, "VmRSS")

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: served.request(stream.getvalue(), "image/jpeg"), range(4)))

    assert [status for status, _ in answers] == [200] * 4
    _until(lambda: _kilobytes(served, "VmRSS") - before < 50_000)  # what the C library keeps is given back when idle
    assert 95_000 < _kilobytes(served, "VmHWM") - before < 160_000


def _kilobytes(served: Served, what: str) -> int:
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])


def _until(holds: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not holds() and time.monotonic() - begun < PATIENT:
        time.sleep(0.001)
    assert holds()
