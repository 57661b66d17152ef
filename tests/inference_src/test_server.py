# SPDX-License-Identifier: Apache-2.0
"""The real server, asked over HTTP as SageMaker and its clients ask it."""

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
import simplejpeg
import urllib3
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from numpy.typing import NDArray

from containers.contract.cores import cores

if TYPE_CHECKING:
    from tests.inference_src.conftest import Served, Servers

    Client = Callable[[int, bytes, dict[str, str]], int]

LABELS = ["vehicle", "pedestrian", "cyclist"]


def test_ping_answers_once_the_model_is_warm(any_server: "Served") -> None:
    assert any_server.request(None, path="/ping") == (200, {"status": "ready"})


@pytest.mark.parametrize("content_type", ["application/x-image", "image/jpeg", "image/png", "IMAGE/JPEG; q=1"])
def test_an_image_is_answered_as_the_built_in_algorithm_does(
    any_server: "Served", jpeg: bytes, picture: NDArray[np.uint8], content_type: str
) -> None:
    status, answer = any_server.request(jpeg, content_type, "application/json")
    assert status == 200
    assert set(answer) == {"normalized_boxes", "classes", "scores", "labels"}
    assert answer["labels"] == LABELS
    names = [answer["labels"][int(index)] for index in answer["classes"]]
    assert names == ["vehicle", "pedestrian", "cyclist"]
    means = picture.mean((0, 1)) / 255
    assert answer["scores"] == pytest.approx(means, abs=0.01)
    left, bottom, right, top = answer["normalized_boxes"][1]
    assert (left, bottom, right, top) == pytest.approx((0.1, 0.1, 0.1 + means[1], 0.6), abs=0.01)


def test_png_is_known_by_its_content_and_loses_nothing(
    server: "Served", png: bytes, picture: NDArray[np.uint8]
) -> None:
    status, answer = server.request(png, "image/jpeg")
    assert status == 200
    assert answer["scores"] == pytest.approx(picture.mean((0, 1)) / 255, abs=1e-6)


def test_accept_chooses_how_many_and_how_much(any_server: "Served", jpeg: bytes) -> None:
    status, answer = any_server.request(jpeg, "application/x-image", "application/json;verbose;n_predictions=1")
    assert status == 200
    assert [answer["labels"][index] for index in answer["classes"]] == ["vehicle"]
    raw = answer["tensorflow_model_output"]
    assert np.shape(raw["detection_boxes"]) == (1, 5, 4)
    assert raw["detection_classes"] == [[1.0, 2.0, 4.0, 0.0, 0.0]]
    assert raw["num_detections"] == [3.0]


def test_scores_keep_every_bit_of_float32(any_server: "Served", jpeg: bytes) -> None:
    _, answer = any_server.request(jpeg, "image/jpeg", "application/json;verbose")
    scores = np.array(answer["scores"])
    assert (scores == scores.astype(np.float32)).all()
    assert answer["scores"] == answer["tensorflow_model_output"]["detection_scores"][0][:3]


def test_instances_are_answered_as_tensorflow_serving_does(any_server: "Served", picture: NDArray[np.uint8]) -> None:
    dark = (picture // 2).tolist()
    status, answer = any_server.request(
        json.dumps({"instances": [picture.tolist(), dark]}).encode(), "application/json"
    )
    assert status == 200
    bright, half = answer["predictions"]
    assert set(bright) == {"detection_boxes", "detection_scores", "detection_classes", "num_detections"}
    means = picture.mean((0, 1)) / 255
    assert bright["detection_scores"] == pytest.approx([*means, 0, 0], abs=1e-6)
    assert bright["detection_boxes"][1] == pytest.approx([0.1, 0.1, 0.6, 0.1 + means[1]], abs=1e-6)
    assert bright["detection_classes"] == [1, 2, 4, 0, 0]
    assert bright["num_detections"] == 3
    assert half["detection_scores"][0] == pytest.approx(means[0] / 2, abs=0.01)


def test_both_request_forms_and_both_runtimes_agree(any_server: "Served", server: "Served", jpeg: bytes) -> None:
    encoded = base64.b64encode(jpeg).decode()
    body = json.dumps({"signature_name": "serving_default", "instances": [{"input_tensor": {"b64": encoded}}]}).encode()
    _, rows = any_server.request(body, "application/json")
    _, image = server.request(jpeg, "application/x-image")
    assert rows["predictions"][0]["detection_scores"][:3] == pytest.approx(image["scores"], abs=1e-6)


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "said"),
    [
        (b"", "image/jpeg", "", 400, "empty"),
        (b"GIF89a", "image/gif", "", 415, "Content-Type image/gif"),
        (b"GIF89a", "application/x-image", "", 415, "neither JPEG nor PNG"),
        (b"x", "", "", 415, "Content-Type is missing"),
        (b"\xff\xd8\xff\xe0garbage", "image/jpeg", "", 400, "its header is cut off"),
        (b"\x89PNG\r\n\x1a\n", "image/png", "", 400, "its header is cut off"),
        (b"{}", "application/json", "", 400, '{"instances"'),
        (b"[", "application/json", "", 400, "no JSON"),
        (b'{"instances": [{"b64": "!"}]}', "application/json", "", 400, "instances[0]: b64 is not base64"),
        (b'{"instances": [[[1, 2, 3]]]}', "application/json", "", 400, "row 0"),
        (b"[" * 100_000, "application/json", "", 400, "no JSON"),
        (b"x", "image/jpeg", "text/html", 406, "the answer is application/json"),
        (b"x", "image/jpeg", "application/json;n_predictions=none", 400, "n_predictions=none"),
    ],
)
def test_what_a_client_can_mend_is_4xx_with_a_sentence(
    server: "Served", body: bytes, content_type: str, accept: str, status: int, said: str
) -> None:
    answered, answer = server.request(body, content_type, accept)
    assert (answered, set(answer)) == (status, {"error"})
    assert said in answer["error"]


def test_a_truncated_image_is_refused_not_guessed(server: "Served", jpeg: bytes, png: bytes) -> None:
    for encoded in (jpeg[: len(jpeg) // 2], jpeg[:-2], png[: len(png) // 2]):
        status, answer = server.request(encoded, "application/x-image")
        assert status == 400, encoded[:4]
        assert any(word in answer["error"] for word in ("damaged", "cut off"))


def test_a_decompression_bomb_is_refused_by_its_header(server: "Served", png: bytes) -> None:
    bomb = png[:16] + (60_000).to_bytes(4, "big") * 2 + png[24:]
    status, answer = server.request(bomb, "image/png")
    assert status == 413
    assert "60000 x 60000" in answer["error"]


def test_a_body_beyond_the_platform_s_limit_is_refused(server: "Served") -> None:
    status, answer = server.request(bytes(25 * 2**20 + 1), "image/jpeg")
    assert status == 413
    assert "26214400 bytes" in answer["error"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/invocations", 405), ("GET", "/models", 404)])
def test_other_addresses_are_told_what_there_is(server: "Served", method: str, path: str, status: int) -> None:
    answered, answer = server.request(None, path=path, method=method)
    assert answered == status
    assert "POST /invocations" in answer["error"]


def test_answers_stay_with_their_requests_when_many_ask_at_once(any_server: "Served") -> None:
    levels = list(range(0, 250, 10))

    def ask(level: int) -> float:
        body = bytes(simplejpeg.encode_jpeg(np.full((16, 16, 3), level, np.uint8)))
        status, answer = any_server.request(body, "image/jpeg")
        assert status == 200
        return float(answer["scores"][0]) * 255

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, levels)) == pytest.approx(levels, abs=1.5)


def test_ping_answers_while_every_core_works(server: "Served") -> None:
    row = [[1, 2, 3]] * 600
    body = json.dumps({"instances": [[row] * 600]}).encode()
    delays = []
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(server.request, body, "application/json") for _ in range(4)]
        while not all(task.done() for task in work):
            started = time.monotonic()
            assert server.request(None, path="/ping")[0] == 200
            delays.append(time.monotonic() - started)
    assert [task.result()[0] for task in work] == [200] * 4
    # SageMaker allows 2 seconds; here pings are held against the work beside them, whatever the machine, which may
    # itself stand still once.
    assert np.percentile(delays, 95) < (time.monotonic() - begun) / 4


def test_sigterm_answers_what_was_begun_refuses_the_rest_and_exits_0(servers: "Servers", model_dir: Path) -> None:
    server = servers.start(model_dir, MAPGATE_RUNTIME="openvino")
    image = np.zeros((2000, 2000, 3), np.uint8)
    body = json.dumps({"instances": [{"b64": base64.b64encode(simplejpeg.encode_jpeg(image)).decode()}] * 8}).encode()
    idle = http.client.HTTPConnection("127.0.0.1", server.port)
    idle.request("GET", "/ping")
    assert idle.getresponse().read()
    slow = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    slow.putrequest("POST", "/invocations")
    slow.putheader("Content-Type", "application/json")
    slow.putheader("Content-Length", str(len(body)))
    slow.endheaders()
    slow.send(body[:-1])
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    with pytest.raises(ConnectionError):
        server.request(None, path="/ping")
    slow.send(body[-1:])
    response = slow.getresponse()
    assert response.status == 200
    assert len(json.loads(response.read())["predictions"]) == 8
    assert server.process.wait(timeout=20) == 0


def test_sigterm_while_loading_ends_it(servers: "Servers", model_dir: Path) -> None:
    server = servers.spawn(model_dir, MAPGATE_RUNTIME="tensorflow")
    while "loading the model" not in server.log.read_text():
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "openvino cannot load the model"),
        ({"MAPGATE_RUNTIME": "onnx"}, "MAPGATE_RUNTIME=onnx: the model has openvino, tensorflow"),
        ({"SAGEMAKER_BIND_TO_PORT": "http"}, "SAGEMAKER_BIND_TO_PORT=http"),
    ],
)
def test_what_cannot_be_served_ends_with_one_sentence_and_1(
    servers: "Servers", copied_model: Path, environment: dict[str, str], said: str
) -> None:
    (copied_model / "runtimes/openvino/model.xml").write_bytes(b"<net")
    server = servers.spawn(copied_model, **{"MAPGATE_RUNTIME": "openvino"} | environment)
    assert server.process.wait(timeout=60) == 1
    lines = [line for line in map(json.loads, server.log.read_text().splitlines()) if line["level"] != "INFO"]
    assert len(lines) == 1
    assert said in lines[0]["message"]


def test_a_taken_port_is_said(servers: "Servers", model_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        server = servers.spawn(model_dir, MAPGATE_RUNTIME="openvino", SAGEMAKER_BIND_TO_PORT=port)
        assert server.process.wait(timeout=60) == 1
    assert f"127.0.0.1:{port}: cannot listen" in server.log.read_text()


def test_only_the_chosen_runtime_is_loaded(server: "Served") -> None:
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("this platform has no /proc to look into a process")
    text = maps.read_text()
    assert "openvino" in text
    assert "/site-packages/tensorflow/" not in text


def test_who_sends_slowly_takes_no_place_from_others(server: "Served", jpeg: bytes) -> None:
    """A place among those that wait for a core is for who can be answered."""
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    for connection in held:
        connection.sendall(head + jpeg[:3])
    assert [server.request(jpeg, "image/jpeg")[0] for _ in range(20)] == [200] * 20
    for connection in held:
        connection.close()


def test_who_left_while_waiting_is_not_computed(
    servers: "Servers", model_dir: Path, picture: NDArray[np.uint8], jpeg: bytes
) -> None:
    server = servers.start(model_dir, MAPGATE_RUNTIME="openvino")
    body = bytes(simplejpeg.encode_jpeg(np.tile(picture, (120, 120, 1))))
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
    for connection in held:
        connection.sendall(head % len(body) + body)
    for connection in held:
        connection.close()
    while server.request(jpeg, "image/jpeg")[0] == 429:
        time.sleep(0.1)
    deadline = time.monotonic() + 20
    left: list[dict[str, Any]] = []
    while len(left) < 12 and time.monotonic() < deadline:
        time.sleep(0.1)
        lines = map(json.loads, server.log.read_text().splitlines())
        requests = [line["request"] for line in lines if "request" in line]
        left = [each for each in requests if each["outcome"] == "left"]
    assert len(left) == 12
    assert [each["status"] for each in requests].count(200) == 1
    assert sum("detect" in each["milliseconds"] for each in left) <= 8  # cores had the first of them already


def _urllib3(port: int, body: bytes, headers: dict[str, str]) -> int:
    """What boto3 and requests send with."""
    return (
        urllib3.PoolManager().request("POST", f"http://127.0.0.1:{port}/invocations", body=body, headers=headers).status
    )


def _http_client(port: int, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/invocations", body, headers)
    return connection.getresponse().status


def _requests(port: int, body: bytes, headers: dict[str, str]) -> int:
    chunks = (body[start : start + 2**16] for start in range(0, len(body), 2**16))
    return requests.post(f"http://127.0.0.1:{port}/invocations", data=chunks, headers=headers, timeout=60).status_code


def _botocore(port: int, body: bytes, headers: dict[str, str]) -> int:
    url = f"http://127.0.0.1:{port}/invocations"
    request = AWSRequest("POST", url, headers | {"Expect": "100-continue"}, body).prepare()
    return int(URLLib3Session().send(request).status_code)


def _curl(port: int, body: bytes, headers: dict[str, str]) -> int:
    command = [
        "curl",
        "-s",
        "-o",
        os.devnull,
        "-w",
        "%{http_code}",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        "@-",
    ]
    named = [f"-H{name}: {value}" for name, value in headers.items()]
    asked = [*command, *named, f"http://127.0.0.1:{port}/invocations"]
    return int(subprocess.run(asked, input=body, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("client", [_http_client, _urllib3, _requests, _botocore, _curl])
@pytest.mark.parametrize(
    ("status", "megabytes", "headers"),
    [
        (415, 8, {"Content-Type": "text/plain"}),
        (406, 8, {"Content-Type": "image/jpeg", "Accept": "text/html"}),
        (413, 40, {"Content-Type": "image/jpeg"}),
    ],
)
def test_an_early_refusal_reaches_who_is_still_sending(
    server: "Served", client: "Client", status: int, megabytes: int, headers: dict[str, str]
) -> None:
    if client is _curl and shutil.which("curl") is None:
        pytest.skip("curl is absent")
    body = (b"GIF89a" if status == 415 else b"\xff\xd8\xff") + bytes(megabytes * 2**20)
    assert [client(server.port, body, headers) for _ in range(3)] == [status] * 3


def test_under_overload_cores_work_for_those_who_wait_and_the_others_know_at_once(
    servers: "Servers", model_dir: Path, picture: NDArray[np.uint8]
) -> None:
    """Clients take their part of the same cores here, so what is held is for how much of the time answers were made."""
    server = servers.start(model_dir, MAPGATE_RUNTIME="openvino")
    body = bytes(simplejpeg.encode_jpeg(np.tile(picture, (80, 80, 1))))

    def ask(at: float = 0.0) -> int:
        time.sleep(max(0.0, at - time.monotonic()))
        return server.request(body, "image/jpeg")[0]

    begun = time.monotonic()
    assert [ask() for _ in range(10)] == [200] * 10
    every = (time.monotonic() - begun) / 10 / cores()
    time.sleep(0.5)  # for the log
    logged = len(server.log.read_text())
    begun = time.monotonic()
    with ThreadPoolExecutor(150) as pool:
        statuses = list(pool.map(ask, (begun + number * every / 5 for number in range(int(10 / every)))))
    spent = time.monotonic() - begun
    time.sleep(0.5)
    lines = map(json.loads, server.log.read_text()[logged:].splitlines())
    requests = [line["request"] for line in lines if "request" in line]
    assert sorted(each["status"] for each in requests) == sorted(statuses)
    answered = [each["milliseconds"] for each in requests if each["status"] == 200]
    refused = [each["milliseconds"]["total"] for each in requests if each["status"] == 429]
    worked = sum(each["decode"] + each["detect"] + each["encode"] for each in answered) / 1000
    assert worked >= 0.9 * spent * cores()
    assert statistics.median(refused) < max(each["wait"] for each in answered) / 4


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /invocation HTTP/1.1", 404),
        (b"PUT /invocations HTTP/1.1", 405),
        (b"POST /invocations HTTP/1.1\r\nAccept: text/html", 406),
    ],
)
def test_who_asks_before_sending_and_is_refused_can_send_nothing_else(
    server: "Served", head: bytes, status: int
) -> None:
    """A body of 5 bytes was announced and need not come: what followed on the connection would be taken for it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head + b"\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        answered = b"".join(iter(lambda: connection.recv(2**16), b""))
    assert answered.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in answered


def test_a_header_that_comes_in_several_lines_is_read_whole(server: "Served", jpeg: bytes) -> None:
    name = "X-Amzn-SageMaker-Custom-Attributes"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", "/invocations")
    for key, value in ((name, "trace=1"), (name, "mapgate-max-detections=1"), ("Content-Length", str(len(jpeg)))):
        connection.putheader(key, value)
    connection.endheaders(jpeg)
    response = connection.getresponse()
    assert response.headers[name] == "trace=1,mapgate-max-detections=1"
    assert len(json.loads(response.read())["scores"]) == 1


@pytest.mark.parametrize("path", ["/ping/", "/ping//"])
def test_a_slash_behind_an_address_changes_nothing(server: "Served", jpeg: bytes, path: str) -> None:
    assert server.request(None, path=path) == (200, {"status": "ready"})
    assert server.request(jpeg, "image/jpeg", path="/invocations/")[0] == 200


def test_batch_transform_is_told_how_to_ask_and_may_send_more(servers: "Servers", model_dir: Path, jpeg: bytes) -> None:
    server = servers.start(model_dir, MAPGATE_RUNTIME="openvino", SAGEMAKER_BATCH="true")
    status, parameters = server.request(None, path="/execution-parameters")
    assert status == 200
    assert set(parameters) == {"MaxConcurrentTransforms", "BatchStrategy", "MaxPayloadInMB"}
    assert parameters["BatchStrategy"] == "SINGLE_RECORD"
    assert parameters["MaxConcurrentTransforms"] == cores()
    assert 90 < parameters["MaxConcurrentTransforms"] * parameters["MaxPayloadInMB"] <= 100
    assert server.request(jpeg + bytes(25 * 2**20), "image/jpeg")[0] != 413
    status, answer = server.request(bytes(100 * 2**20 + 1), "image/jpeg")
    assert (status, "104857600 bytes" in answer["error"]) == (413, True)


def test_memory_of_bodies_that_were_cut_comes_back(servers: "Servers", model_dir: Path, jpeg: bytes) -> None:
    """The C library would keep it: bodies come in pieces, between which other things are made."""
    server = servers.start(model_dir, MAPGATE_RUNTIME="openvino")
    if not Path(f"/proc/{server.process.pid}/status").exists():
        pytest.skip("this platform has no /proc to look into a process")
    assert server.request(jpeg, "image/jpeg")[0] == 200
    before = _resident_megabytes(server)
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 26000000\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(12)]
    for connection in held:
        connection.sendall(head + jpeg + bytes(25_000_000))
    assert 200 < _resident_megabytes(server) - before < 350  # 256 MB of bodies, whoever sends how many
    assert server.request(jpeg, "image/jpeg")[0] == 200
    for connection in held:
        connection.close()
    deadline = time.monotonic() + 20
    while _resident_megabytes(server) - before > 60 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _resident_megabytes(server) - before < 60


def _resident_megabytes(server: "Served") -> float:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def test_its_log_is_json_and_holds_each_request(servers: "Servers", model_dir: Path, jpeg: bytes) -> None:
    server = servers.start(model_dir, MAPGATE_RUNTIME="openvino", MAPGATE_METRICS_NAMESPACE="birds-dev")
    hostile = '\\"}\t{"level": "x' + "\xe9" * 300
    headers = {
        "X-Amzn-SageMaker-Inference-Id": "one-7",
        "X-Amzn-RequestId": hostile,
        "X-Amzn-SageMaker-Custom-Attributes": "secret=4711",
        "Content-Type": "image/jpeg",
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for body in (jpeg, b"\xff\xd8\xff no picture"):
        connection.request(
            "POST", "/invocations", body, headers | {"X-Amzn-SageMaker-Custom-Attributes": "secret=4711"}
        )
        connection.getresponse().read()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=20) == 0
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert any("is ready after" in line.get("message", "") for line in lines)
    assert "4711" not in text
    good, bad = [line["request"] for line in lines if "request" in line]
    assert (good["id"], good["inference_id"]) == (hostile[:200], "one-7")
    assert (good["status"], good["outcome"], good["bytes_in"]) == (200, "answered", len(jpeg))
    assert (good["images"], good["pixels"], good["detections"]) == (1, 24 * 32, 3)
    assert set(good["milliseconds"]) == {"read", "wait", "decode", "detect", "encode", "total"}
    assert (bad["status"], bad["outcome"]) == (400, "refused")
    (metrics,) = [line for line in lines if "_aws" in line]
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "birds-dev"
    assert (metrics["Answered"], metrics["Refused"], len(metrics["TotalTime"])) == (1, 1, 1)
