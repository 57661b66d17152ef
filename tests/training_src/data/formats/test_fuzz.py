# SPDX-License-Identifier: Apache-2.0
"""Whatever is in a folder, checking, fixing, preparing and converting it ends with a data set, faults or our errors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from training_src.data.checks.policy import CHECKS, DataPolicy
from training_src.data.convert import convert
from training_src.data.dataset import Fault, LabelledImage
from training_src.data.examination import examine
from training_src.data.formats import read_dataset
from training_src.data.metadata import write_metadata
from training_src.data.splits import SPLITS
from training_src.data.writers.image import Image
from training_src.data.writers.shards import write_shards
from training_src.errors import MapgateError

Tree = dict[str, bytes]

# What has broken readers before: numbers, names, nesting, text that is none.
POISON: tuple[bytes, ...] = (
    b"", b"\x00", b"\xff\xfe", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"9" * 5000, b"1e", b"null", b"true",
    b"[]", b"{}", b"[" * 5000, b'{"a":' * 3000, b'"', b"'", b"\\ud800", b"\\u0000", b"../../etc/passwd",
    b"/etc/passwd", b"s3://", b"&lol;", b"<!DOCTYPE a>", b"<a>" * 2000, b"]]>", b"*a", b"&a", b": :", b"\t-\t", b"\r\n",
    "\u202e".encode(), b"a" * 300, b"images", b"bbox", b"2147483648", b"1" * 25,
)  # fmt: skip

# Where there is a file system in memory: a case writes dozens of small files, which takes a disk longer than all else.
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it

# What is done with a folder; most often it is only checked or fixed, which is the quickest.
TASKS = ("check", "check", "fix", "fix", "fix", "prepare", "coco", "tfrecord")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("../x") | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutations(draw: st.DrawFn, trees: Mapping[str, Tree]) -> tuple[str, Tree]:
    """A layout, and the one or two of its files that are not what they were."""
    layout = draw(st.sampled_from(sorted(trees)))
    tree = dict(trees[layout])
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(tree)))
        content = tree[name]
        kinds = ["replace", "insert", "cut", "truncate", "repeat", "flip"]
        kind = draw(st.sampled_from([*kinds, "value", "value"] if name.endswith(("json", "manifest")) else kinds))
        if kind == "value":
            tree[name] = _with_value(content, draw(st.integers(0, 60)), draw(values))
            continue
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([1, 2, 4, 16, 200])))
        poison = draw(st.sampled_from(POISON) | st.binary(max_size=6))
        tree[name] = {
            "replace": content[:start] + poison + content[end:],
            "insert": content[:start] + poison + content[start:],
            "cut": content[:start] + content[end:],
            "truncate": content[:start],
            "repeat": content[:end] + content[start:],
            "flip": content[:start] + bytes(byte ^ 0x55 for byte in content[start:end]) + content[end:],
        }[kind]
    return layout, {name: content for name, content in tree.items() if content != trees[layout][name]}


def _with_value(content: bytes, number: int, value: Any) -> bytes:
    """JSON, or its first line, with its number-th inner value replaced."""
    first, *rest = content.split(b"\n") if content.count(b"\n") else [content]
    try:
        document = json.loads(first)
        places = list(_places(document))
        if not places:
            return content
        parent, key = places[number % len(places)]
        parent[key] = value
        return b"\n".join([json.dumps(document).encode(), *rest])
    except (ValueError, RecursionError):
        return content


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield value, key
        yield from _places(child)


@pytest.fixture(scope="module")
def trees(
    writers: Mapping[str, Callable[[Path, Sequence[Image]], None]],
    make_image: Callable[..., Image],
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Tree]:
    """Each layout's files by name."""
    images = [
        make_image("a.jpg", ("vehicle", 1, 2, 30, 20), ("cyclist", 3, 4, 5, 6), number=1, split="train"),
        make_image("b.png", ("vehicle", 0, 0, 16, 12), number=2, split="test", size=(16, 12)),
    ]
    found: dict[str, Tree] = {}
    for name, write in writers.items():
        folder = tmp_path_factory.mktemp(name)
        write(folder, images)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        found[name] = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    found["darknet"] = _darknet(found["yolo"])
    found["poses"] = _poses(found["yolo"])
    found["sources"] = {f"voc/{name}": content for name, content in found["pascal_voc"].items()}
    found["sources"] |= {f"yolo/{name}": content for name, content in found["yolo"].items()}
    found["sources"]["sources.yaml"] = b"sources:\n  - path: voc\n    rename: {cyclist: rider}\n  - {path: yolo}\n"
    return found


def _poses(yolo: Tree) -> Tree:
    """The same images with four keypoints behind each box, and nothing that says so."""
    points = b" 0.5 0.5 2 0.25 0.5 1 0.5 0.25 2 0 0 0\n"
    return {
        name: content.replace(b"\n", points) if name.endswith(".txt") else content for name, content in yolo.items()
    }


def _darknet(yolo: Tree) -> Tree:
    """CVAT's YOLO 1.1 of the same images: texts beside them, and lists."""
    beside = {f"obj_train_data/{Path(name).name}": content for name, content in yolo.items() if "/" in name}
    images = [name for name in beside if not name.endswith(".txt")]
    lists = {
        "obj.data": b"classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
        "obj.names": b"cyclist\nvehicle\n",
        "train.txt": f"data/{images[0]}\n".encode(),
        "valid.txt": f"data/{images[1]}\n".encode(),
    }
    return beside | lists


def fuzz(trees: Mapping[str, Tree], cases: int) -> Counter[str]:
    """Check, fix, prepare and convert mutated data sets; counts how they ended."""
    ends: Counter[str] = Counter()
    root = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))

    @settings(
        max_examples=cases,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated=mutations(trees), task=st.sampled_from(TASKS))
    def run(mutated: tuple[str, Tree], task: str) -> None:
        layout, changed = mutated
        try:
            _lay_out(root / layout / "data", changed)
            ends[_outcome(root / layout, task)] += 1
            assert {child.name for child in (root / layout).iterdir()} <= {"data", "out"}
        finally:
            _lay_out(root / layout / "data", {name: trees[layout][name] for name in changed})
            shutil.rmtree(root / layout / "out", ignore_errors=True)

    try:
        for layout, tree in trees.items():
            _lay_out(root / layout / "data", tree)
        run()
    finally:
        shutil.rmtree(root)
    return ends


def _lay_out(folder: Path, tree: Tree) -> None:
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _outcome(folder: Path, task: str) -> str:
    try:
        if task in ("coco", "tfrecord"):
            done = convert(folder / "data", folder / "out", to=task)
            again = [entry for entry in read_dataset(folder / "out").entries() if isinstance(entry, LabelledImage)]
            assert len(again) == done.images
            return "sound"
        faulty = _prepare(folder, task)
        _look_at(folder / "data")
    except MapgateError as error:
        assert str(error) and len(str(error)) < 100_000
        return "error"
    return "faults" if faulty else "sound"


def _prepare(folder: Path, task: str) -> bool:
    """All that PrepareDataset does, in this process; whether there are faults."""
    policy = DataPolicy() if task == "check" else DataPolicy().with_fixes()
    with examine(folder / "data", policy=policy, records=True, work=folder.parent, processes=1) as examined:
        for fault in examined.findings.all():
            assert fault.check in CHECKS
            assert fault.message.endswith(".") and len(fault.message) < 3000 and fault.message.isprintable()
        for image in examined.index.located("split IS NOT NULL"):
            objects = image.objects
            assert ((objects["xmin"] >= 0) & (objects["xmax"] <= image.width)).all()
            assert ((objects["ymin"] >= 0) & (objects["ymax"] <= image.height)).all()
        if examined.findings.of("error"):
            return True
        if task == "prepare":
            (folder / "out/metadata").mkdir(parents=True)
            write_shards(examined.index, {split: folder / "out" / split for split in SPLITS}, processes=1)
            write_metadata(folder / "out/metadata", examined)
            examples = read_dataset(folder / "out").entries()
            assert sum(isinstance(entry, LabelledImage) for entry in examples) == sum(examined.images.values())
    return False


def _look_at(folder: Path) -> None:
    for image in read_dataset(folder).entries():
        if isinstance(image, Fault):
            continue
        image.source_id.encode()
        assert Path(image.encoded.file).is_relative_to(folder) or "mapgate-shards-" in image.encoded.file
        assert all(box.label >= 1 and box.name for box in image.boxes)


def test_mutated_data_sets_end_with_faults_or_errors_of_our_own(trees: Mapping[str, Tree]) -> None:
    ends = fuzz(trees, 300)

    assert sum(ends.values()) >= 300
    assert min(ends["error"], ends["faults"], ends["sound"]) > 0


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_twenty_thousand_mutated_data_sets_end_so_too(
    trees: Mapping[str, Tree], record: Callable[[str, str], None]
) -> None:
    ends = fuzz(trees, 20_000)

    assert sum(ends.values()) >= 20_000
    listed = ", ".join(f"{end} {count}" for end, count in sorted(ends.items()))
    record("mutated data sets (every layout, lists of sources): crashes in 20,000", f"0 ({listed})")
