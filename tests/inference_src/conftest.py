# SPDX-License-Identifier: Apache-2.0
"""A small real model in both runtimes, a real server of it, and pictures to send.

The model looks at an image's mean colour: detection k is about channel k (ids 1, 2, 4, the last two names of a label
map with a gap), its score is the channel's mean over 255, its box starts at k tenths and is as wide as the score.
So every answer tells which image it was given, and what becomes of its channels.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from containers.contract.tfrecord import write_record
from tests.conftest import MadeOnce
from tests.picture_files import PNGS, cmyk_jpegs

ROOT = Path(__file__).parents[2]
CLASSES = [{"id": 4, "name": "cyclist"}, {"id": 1, "name": "vehicle"}, {"id": 2, "name": "pedestrian"}]
RUNTIMES = ("tensorflow", "openvino")
PHOTOGRAPHS = [
    *sorted((ROOT.parent / "shared/data/bccd/JPEGImages").glob("*.jpg"))[:2],
    *sorted((ROOT.parent / "shared/data/raccoon").rglob("*.jpg"))[:2],
]
SCRIPT = """
import sys, pathlib, numpy, openvino, tensorflow as tf

@tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, "input_tensor")])
def detect(input_tensor):
    scores = tf.reduce_mean(tf.cast(input_tensor[0], tf.float32), [0, 1]) / 255
    start = tf.constant([0.0, 0.1, 0.2])
    boxes = tf.stack([start, start, start + 0.5, start + scores], -1)
    padded = lambda values: tf.pad(values, [[0, 2]] + [[0, 0]] * (len(values.shape) - 1))[None]
    none = tf.reduce_min(scores)[None] * 0  # constants would lose their names on the way to OpenVINO
    return {
        "detection_boxes": padded(boxes),
        "detection_scores": padded(scores),
        "detection_classes": padded(tf.constant([1.0, 2.0, 4.0]) + none),
        "num_detections": tf.constant([3.0]) + none,
    }

target = pathlib.Path(sys.argv[1])
module = tf.Module()
module.detect = detect
tf.saved_model.save(module, str(target / "model/1"), signatures={"serving_default": detect})
model = openvino.convert_model(target / "model/1")
openvino.save_model(model, target / "model/runtimes/openvino/model.xml", compress_to_fp16=False)

texts = lambda *values: tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
numbers = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * 40))
label = tf.train.Feature(int64_list=tf.train.Int64List(value=[4, 2**40]))
examples = [
    {"image/source_id": texts(b"7"), "image/encoded": texts(b"\\xff\\xd8"), "image/object/class/text": texts()},
    {"image/filename": texts(b"b.png"), "image/encoded": texts(bytes(300)), "image/key/sha256": texts(b"a", b"b")},
]
(target / "shard").mkdir()
with tf.io.TFRecordWriter(str(target / "shard/a.tfrecord")) as writer:
    for features in examples:
        features |= {"image/object/bbox/xmin": numbers, "image/object/class/label": label}
        writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())

read = lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE").numpy()
numpy.savez(target / "pixels.npz", **{pathlib.Path(path).stem: read(path) for path in sys.argv[2:]})
"""

DECODE_SCRIPT = """
import sys, pathlib, numpy, tensorflow as tf
folder = pathlib.Path(sys.argv[1])
decode = {
    ".png": lambda encoded: tf.io.decode_png(encoded, channels=3),
    ".jpg": lambda encoded: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
}
numpy.savez(
    folder / "pixels.npz", **{file.stem: decode[file.suffix](file.read_bytes()).numpy() for file in folder.iterdir()}
)
"""


@pytest.fixture(scope="session")
def model_dir(tensorflow_work: Path) -> Path:
    """An extracted model.tar.gz; not to be changed, tests copy it."""
    return tensorflow_work / "model"


def describe(directory: Path, **changes: Any) -> None:
    description = {
        "schema_version": 1,
        "architecture": "mean_colour",
        "input": {"height": 48, "width": 64},
        "classes": CLASSES,
        "dataset": {"sha256": "0" * 64},
        "runtimes": {
            "tensorflow": {"path": "1", "precisions": ["f32"]},
            "openvino": {"path": "runtimes/openvino/model.xml", "precisions": ["f32"]},
        },
    }
    (directory / "model.json").write_text(json.dumps(description | changes))


@dataclass
class Served:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def request(
        self, body: bytes | None, content_type: str = "", accept: str = "", path: str = "/invocations", method: str = ""
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {name: value for name, value in (("Content-Type", content_type), ("Accept", accept)) if value}
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "application/json"
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer


@dataclass
class Servers:
    """Starts servers, with a limit of open files if one is given, and stops what was started."""

    directory: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    descriptors: int = 0

    def spawn(self, model: Path, **environment: str) -> Served:
        """Start `serve` the way the platform does, and do not wait for it."""
        root = self.directory / str(len(self.running))
        root.mkdir()
        (root / "model").symlink_to(model)
        log = root / "log.txt"
        port = free_port()
        variables = {
            "PATH": os.environ["PATH"],
            "MAPGATE_ML_ROOT": str(root),
            "MAPGATE_BIND_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": str(port),
        }
        command = [sys.executable, "-m", "inference_src", "serve"]
        if self.descriptors:
            command = ["sh", "-c", f'ulimit -n {self.descriptors} && exec "$@"', "sh", *command]
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, cwd=ROOT, env=variables | environment, stderr=stderr)
        self.running.append(process)
        return Served(port, process, log)

    def start(self, model: Path, **environment: str) -> Served:
        """Start a server and wait until it is ready."""
        served = self.spawn(model, **environment)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if served.process.poll() is not None:
                raise AssertionError(f"the server ended: {served.log.read_text()}")
            try:
                assert served.request(None, path="/ping")[0] == 200
                return served
            except ConnectionError:
                time.sleep(0.05)
        raise AssertionError("the server was not ready in two minutes")

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def session_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """For tests that stop or break a server."""
    servers = Servers(tmp_path)
    yield servers
    servers.stop()


@pytest.fixture(scope="session", params=RUNTIMES)
def any_server(request: pytest.FixtureRequest, session_servers: Servers, model_dir: Path) -> Served:
    """A server of each runtime in turn, shared by the tests that only ask."""
    return session_servers.start(model_dir, MAPGATE_RUNTIME=request.param)


@pytest.fixture(scope="session")
def server(session_servers: Servers, model_dir: Path) -> Served:
    """A server that starts at once, shared by the tests of what no runtime sees."""
    return session_servers.start(model_dir, MAPGATE_RUNTIME="openvino")


@pytest.fixture
def copied_model(model_dir: Path, tmp_path: Path) -> Path:
    """A model to break."""
    return shutil.copytree(model_dir, tmp_path / "copy")


@pytest.fixture
def describe_model() -> Callable[..., None]:
    """Write a `model.json` with some keys changed."""
    return describe


@pytest.fixture(scope="session")
def picture() -> NDArray[np.uint8]:
    """32 x 24 pixels, smooth, reddish: means differ by channel."""
    y, x = np.mgrid[0:24, 0:32]
    return np.stack([180 + x, 90 + y, 20 + x // 2], -1).astype(np.uint8)


@pytest.fixture(scope="session")
def jpeg(picture: NDArray[np.uint8]) -> bytes:
    return bytes(simplejpeg.encode_jpeg(picture, quality=95))


@pytest.fixture(scope="session")
def png(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes()


@pytest.fixture(scope="session")
def write_shard() -> Callable[..., None]:
    """Write a TFRecord shard of (source id, encoded image) without TensorFlow."""

    def delimited(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2]) + varint(len(content)) + content

    def varint(value: int) -> bytes:
        return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)

    def feature(name: str, value: bytes) -> bytes:
        return delimited(1, delimited(1, name.encode()) + delimited(2, delimited(1, delimited(1, value))))

    def write(path: Path, images: list[tuple[str, bytes]]) -> None:
        with path.open("wb") as file:
            for source_id, encoded in images:
                example = delimited(
                    1, feature("image/source_id", source_id.encode()) + feature("image/encoded", encoded)
                )
                write_record(file, example)

    return write


@pytest.fixture(scope="session")
def tensorflow_work(made_once: MadeOnce) -> Path:
    """What TensorFlow makes in a process of its own, which leaves none of it in this one: model, shard, pixels."""

    def make(folder: Path) -> None:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", SCRIPT, str(folder), *map(str, PHOTOGRAPHS)]
        subprocess.run(command, check=True, env=environment)
        describe(folder / "model")

    return made_once("inference-tensorflow", make)


@pytest.fixture(scope="session")
def tensorflow_shard(tensorflow_work: Path) -> Path:
    """A shard of two tf.Examples as `tf.io.TFRecordWriter` writes them, with features of every kind."""
    return tensorflow_work / "shard" / "a.tfrecord"


@pytest.fixture(scope="session")
def reference_decode(tensorflow_work: Path) -> dict[Path, NDArray[np.uint8]]:
    """Real photographs as `tf.io.decode_jpeg` decodes them for training, by file."""
    if not PHOTOGRAPHS:
        pytest.skip("../shared/data is absent")
    pixels = np.load(tensorflow_work / "pixels.npz")
    return {path: pixels[path.stem] for path in PHOTOGRAPHS}


@pytest.fixture(scope="session")
def decoded_by_tensorflow(made_once: MadeOnce) -> Mapping[str, NDArray[np.uint8]]:
    """The files of `picture_files` as `tf.io.decode_png` and an accurate `tf.io.decode_jpeg` read them, by name."""

    def make(folder: Path) -> None:
        for png in PNGS:
            (folder / f"{png.name}.png").write_bytes(png.encoded())
        for name, encoded in cmyk_jpegs().items():
            (folder / f"{name}.jpg").write_bytes(encoded)
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run([sys.executable, "-c", DECODE_SCRIPT, str(folder)], check=True, env=environment)

    pixels: Mapping[str, NDArray[np.uint8]] = np.load(made_once("inference-decoded", make) / "pixels.npz")
    return pixels


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
