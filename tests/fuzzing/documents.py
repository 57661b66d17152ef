# SPDX-License-Identifier: Apache-2.0
"""JSON, NumPy arrays and header lines as clients send them, and mutations of their values, shapes and numbers."""

from __future__ import annotations

import base64
import io
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.fuzzing.contents import POISON, mutated

CONTENT_TYPES = (
    b"application/x-image", b"image/jpeg", b"image/png", b"image/jpg", b"application/octet-stream", b"application/json",
    b"application/jsonlines", b"application/x-npy", b"application/json; charset=utf-8", b"text/csv", b"", b"*/*",
    b"file-path/raw-bytes", b"application/json;q=0", b"multipart/form-data; boundary=a",
)  # fmt: skip
ACCEPTS = (
    b"application/json", b"*/*", b"", b"application/json;verbose", b"application/json;verbose;n_predictions=3",
    b"application/json;q=0, */*", b"application/json;n_predictions=100000", b"text/html", b"application/jsonlines",
    b"application/*;q=0.5, text/html;q=1", b"application/x-npy",
)  # fmt: skip
ATTRIBUTES = (
    b"mapgate-threshold=0.4", b"mapgate-threshold=0.4,mapgate-max-detections=5", b"mapgate-threshold.vehicle=0.5",
    b"mapgate-threshold=vehicle:0.4;cyclist:0.5", b"mapgate-classes=vehicle,cyclist", b"mapgate-tiles=2x2",
    b"mapgate-tiles=640", b"mapgate-outputs=detection_anchor_indices", b"tfs-model-name=a,trace=1", b"anything at all",
    b"mapgate-tiles=100x100", b"mapgate-max-detections=0", b"mapgate-unknown=1",
)  # fmt: skip


def documents(jpeg: bytes) -> dict[str, bytes]:
    """JSON requests in TensorFlow Serving's forms, by what they are."""
    pixels = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3).tolist()
    encoded = {"b64": base64.b64encode(jpeg).decode()}
    found: dict[str, Any] = {
        "instances of pixels": {"instances": [pixels, pixels]},
        "instances of base64": {"instances": [encoded]},
        "instances by name": {"instances": [{"input_tensor": encoded}], "signature_name": "serving_default"},
        "inputs": {"inputs": [pixels]},
        "inputs by name": {"inputs": {"input_tensor": [pixels]}},
        "a bare list": [pixels],
        "one picture": {"instances": pixels},
    }
    texts = {name: json.dumps(value).encode() for name, value in found.items()}
    return texts | {"lines": json.dumps(pixels).encode() + b"\n" + json.dumps(encoded).encode() + b"\n"}


def mutated_document(content: bytes, draw: random.Random) -> bytes:
    """Another value somewhere in it, a number that is none, or bytes that are no JSON."""
    for _ in range(draw.choice((1, 1, 2))):
        content = _with_value(content, draw) if draw.random() < 0.5 else mutated(content, draw)
    return content


def _with_value(content: bytes, draw: random.Random) -> bytes:
    try:
        document = json.loads(content)
        places = list(_places(document))
        parent, key = draw.choice(places)
    except (ValueError, RecursionError, IndexError):
        return content
    if isinstance(parent, dict) and draw.random() < 0.3:
        other = draw.choice(("", "b64", "inputs", "instances", "signature_name", "\ud800", "a" * 1000))
        parent[other] = parent.pop(key)
    elif draw.random() < 0.2:
        del parent[key]
    else:
        parent[key] = _value(draw)
    return json.dumps(document).encode()


def _value(draw: random.Random) -> Any:
    deep: Any = 1
    for _ in range(draw.choice((2, 5, 900))):
        deep = [deep]
    simple = (
        None,
        True,
        False,
        -1,
        0,
        255,
        256,
        10**30,
        0.5,
        -0.0,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "a",
        "\ud800",
    )
    large: tuple[Any, ...] = (
        [[]] * 20_000,
        [0] * 50_000,
        "A" * 100_000,
        {"b64": "A" * 100_001},
        {"b64": "====", "a": 1},
        deep,
    )
    return draw.choice(simple if draw.random() < 0.7 else large)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield value, key
        yield from _places(child)


def arrays() -> dict[str, bytes]:
    """Pictures as `numpy.save` writes them."""
    pixels = np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)
    found: dict[str, np.ndarray[Any, Any]] = {
        "a picture": pixels,
        "a batch of one": pixels[None],
        "floats": pixels.astype(np.float32),
        "columns first": np.asfortranarray(pixels),
        "two pictures": np.stack([pixels, pixels]),
    }
    return {name: _saved(array) for name, array in found.items()}


def _saved(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def mutated_array(content: bytes, draw: random.Random) -> bytes:
    """Another dtype, order, shape or length of the header; or bytes changed somewhere."""
    if draw.random() < 0.3:
        return mutated(content, draw)
    kind = draw.choice(
        (b"|u1", b"|u1", b"|i1", b"<f8", b">u4", b"|O", b"|V1000000", b"<U1000", b"|b1", b"<c16", b"<M8[s]")
    )
    shape = draw.choice((
        b"(24, 32, 3)", b"(1, 24, 32, 3)", b"(24, 32, 4)", b"(0, 32, 3)", b"()", b"(2304,)", b"(-24, 32, 3)",
        b"(99999999999, 99999999999, 3)", b"(9000, 9000, 3)", b"(24, 32, 3" + b", 1" * 60 + b")", b"(24.0, 32, 3)",
        b"None",
    ))  # fmt: skip
    order = draw.choice((b"False", b"False", b"True", b"None"))
    text = b"{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (kind, order, shape)
    if draw.random() < 0.3:
        text = mutated(text, draw)
    if draw.random() < 0.1:
        text = b"{" * 2000 + text
    length = draw.choice((len(text), len(text), len(text), 0, 0xFFFF)) & 0xFFFF
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text + content[128:]


def header_lines(draw: random.Random, content_type: bytes) -> list[bytes]:
    """A request's header lines, of which one at most is not what a client would send."""
    fields = {b"Host": b"x", b"Content-Type": content_type, b"Accept": b"application/json"}
    choices = {
        b"Content-Type": CONTENT_TYPES,
        b"Accept": ACCEPTS,
        b"X-Amzn-SageMaker-Custom-Attributes": ATTRIBUTES,
        b"X-Amzn-SageMaker-Inference-Id": (b"a", b"b" * 200, *POISON),
    }
    if draw.random() < 0.5:
        name = draw.choice(sorted(choices))
        value = draw.choice(choices[name])
        fields[name] = mutated(value, draw) if draw.random() < 0.5 else value
    lines = [name + b": " + value[:4000] for name, value in fields.items() if value]
    # A line break would be another header; what HTTP itself makes of one is not ours to answer.
    return [line.replace(b"\r", b"").replace(b"\n", b"") for line in lines]
