# SPDX-License-Identifier: Apache-2.0
"""Requests to `/invocations` that are mutations of right ones: each the same for a seed and a number."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.benchmarks.serving.client import raw_request
from tests.fuzzing.documents import arrays, documents, header_lines, mutated_array, mutated_document
from tests.fuzzing.pictures import mutated_picture, pictures

MUTATE = {"picture": mutated_picture, "document": mutated_document, "array": mutated_array}
WEIGHTS = {"picture": 6, "document": 3, "array": 1}


@dataclass(frozen=True)
class Case:
    """A mutated request.

    Attributes:
        name: What it was made of.
        request: Its bytes.
    """

    name: str
    request: bytes


class Cases:
    """A corpus of right requests, and their mutations."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        files = pictures()
        self.corpus = {"picture": files, "document": documents(files["jpeg"]), "array": arrays()}

    def case(self, number: int) -> Case:
        """The mutation of that number."""
        draw = random.Random(f"{self._seed}/{number}")
        (kind,) = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))
        name = draw.choice(sorted(self.corpus[kind]))
        body = self.corpus[kind][name]
        if draw.random() < 0.9:  # else the headers alone are looked at
            body = MUTATE[kind](body, draw)
        lines = header_lines(draw, content_type(kind, name))
        return Case(f"{kind}: {name}", raw_request(body, lines))

    def unmutated(self, kind: str, name: str) -> bytes:
        """The right request that a case was made of."""
        return raw_request(self.corpus[kind][name], [b"Host: x", b"Content-Type: " + content_type(kind, name)])


def content_type(kind: str, name: str) -> bytes:
    """What a right request of the corpus is sent as."""
    if kind == "picture":
        return b"image/png" if name.startswith("png") else b"image/jpeg"
    if kind == "array":
        return b"application/x-npy"
    return b"application/jsonlines" if name == "lines" else b"application/json"
