# SPDX-License-Identifier: Apache-2.0
"""What somebody may put into a data set so that reading it opens what it should not, or never ends."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from training_src.data.checks.policy import read_policy_of
from training_src.data.dataset import Fault
from training_src.data.formats import read_dataset
from training_src.data.report.page import _thumbnail
from training_src.data.writers.image import Image
from training_src.errors import ConfigurationError, DataError, MapgateError

Make = Callable[..., Image]
Write = Callable[[Path, Sequence[Image]], None]

ELSEWHERE = "item { id: 1 name: 'diary of the neighbours' } nonsense"

# Of every layout, a file that its reader opens.
OPENED = {
    "coco": "_annotations.coco.json",
    "ground_truth": "output.manifest",
    "sagemaker_builtin": "annotations.json",
    "pascal_voc": "Annotations/one.xml",
    "yolo": "data.yaml",
    "bbox_label_tool": "Labels/one.txt",
    "tfrecord": "train.record",
}


@pytest.fixture
def folder(tmp_path: Path, make_image: Make, writers: Mapping[str, Write]) -> Path:
    """A small data set in Pascal VOC's layout."""
    made = tmp_path / "images"
    writers["pascal_voc"](made, [make_image("a.jpg", ("car", 1, 2, 30, 40), number=1)])
    return made


@pytest.mark.parametrize("name", ["label_map.pbtxt", "train/my_label_map.pbtxt"])
def test_label_map_that_is_a_link_out_of_the_folder_is_not_opened(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").write_text(ELSEWHERE)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DataError, match="is a link to a place outside the data set; copy the file in") as told:
        read_dataset(folder)

    assert name in str(told.value) and "neighbours" not in str(told.value)


def test_label_map_beside_a_list_of_sources_is_not_followed_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(ELSEWHERE)
    (tmp_path / "merged").mkdir()
    folder.rename(tmp_path / "merged" / "images")
    (tmp_path / "merged" / "sources.yaml").write_text("sources:\n  - path: images\n")
    (tmp_path / "merged" / "label_map.pbtxt").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DataError, match=r"label_map\.pbtxt is a link to a place outside the data set"):
        read_dataset(tmp_path / "merged")


def test_policy_that_is_a_link_out_of_the_folder_is_not_opened(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("diary: of the neighbours\n")
    (folder / "data_policy.yaml").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigurationError, match=r"data_policy\.yaml is a link to a place outside") as told:
        read_policy_of(folder)

    assert "neighbours" not in str(told.value) and "diary" not in str(told.value)


def test_policy_that_was_named_and_is_not_there_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.yaml cannot be read"):
        read_policy_of(folder, tmp_path / "mine.yaml")


@pytest.mark.parametrize("name", ["label_map.pbtxt", "data_policy.yaml", *OPENED.values()])
def test_pipe_in_place_of_a_file_does_not_wait_for_ever(tmp_path: Path, name: str) -> None:
    made = tmp_path / "set"
    (made / name).parent.mkdir(parents=True)
    (made / "images").mkdir(exist_ok=True)
    (made / "Images").mkdir(exist_ok=True)
    os.mkfifo(made / name)

    # A process of its own, since what waits for a pipe cannot be interrupted from within.
    check = [sys.executable, "-m", "training_src", "check", str(made)]
    ended = subprocess.run(check, capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_report_does_not_decode_what_the_check_of_bombs_refused() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    # 12,000 times 12,000 grey pixels: above the limit, and below the one at which OpenCV itself refuses.
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0))
    bomb = (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(12_001 * 12_000), 1)) + chunk(b"IEND", b"")
    )

    assert _thumbnail(bomb) == ("", 0, 0)


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(file))  # an absolute path may be longer than a socket's


def _loop(file: Path) -> None:
    file.symlink_to(file.name)


def _circle(file: Path) -> None:
    file.symlink_to(file.with_name("other.link").name)
    file.with_name("other.link").symlink_to(file.name)


def _link_to_a_device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def _folder(file: Path) -> None:
    file.mkdir()


def _link_out(file: Path) -> None:
    (file.parents[1] / "elsewhere").write_text(ELSEWHERE)
    file.symlink_to(file.parents[1] / "elsewhere")


@pytest.mark.parametrize(
    "name",
    [
        "label_map.pbtxt", "data_policy.yaml", "sources.yaml", "attributes.csv", "data.yaml", "obj.data", "classes.txt",
        "obj.names", "_darknet.labels", "annotations.json", "instances.json", "output.manifest", "train.record",
        "boxes.csv", "labels.xml", "c.jpg", "train.txt", "anything",
    ],
)  # fmt: skip
@pytest.mark.parametrize("plant", [_pipe, _socket, _loop, _circle, _link_to_a_device, _folder, _link_out])
def test_no_name_makes_a_strange_file_read(folder: Path, name: str, plant: Callable[[Path], None]) -> None:
    (folder / "label_map.pbtxt").unlink(missing_ok=True)
    plant(folder / name)
    told = ""

    try:
        read_policy_of(folder)
        told = " ".join(entry.message for entry in read_dataset(folder).entries() if isinstance(entry, Fault))
    except MapgateError as error:
        told = str(error)

    assert "neighbours" not in told
    if plant not in (_folder, _link_out, _link_to_a_device):
        assert name in told


@pytest.mark.parametrize("mark", ["\n", "\r", "\x1b[31m", "\x9b", "\u202e", "\u2028"])
def test_names_of_files_write_no_lines_of_their_own(folder: Path, mark: str) -> None:
    (folder / f"Annotations/a{mark}error: all is well.xml").write_text("<annotation>")

    (fault,) = (entry for entry in read_dataset(folder).entries() if isinstance(entry, Fault))
    (folder / "Annotations/a.xml").unlink()
    with pytest.raises(DataError) as told:
        read_dataset(folder)

    assert fault.message.isprintable() and "error: all is well.xml" in fault.message
    assert str(told.value).isprintable() and told.value.sentences[0].isprintable()


def test_blanks_of_other_widths_in_a_name_are_shown(folder: Path) -> None:
    (folder / "Annotations/3.45\u202fPM.xml").write_text("<annotation>")

    assert "3.45\u202fPM.xml" in next(
        entry.message for entry in read_dataset(folder).entries() if isinstance(entry, Fault)
    )


@pytest.mark.parametrize("name", ["JPEGImages/more", "Annotations/more", "test", "elsewhere/else"])
def test_folder_that_is_a_link_out_of_the_data_set_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b.jpg").write_bytes(b"")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(tmp_path / "outside")
    (folder / "again").symlink_to(folder / "JPEGImages")

    faults = [entry for entry in read_dataset(folder).entries() if isinstance(entry, Fault)]

    assert [(fault.check, fault.severity, fault.file) for fault in faults if fault.check == "path"] == [
        ("path", "error", name)
    ]
    assert "copy the folder in" in faults[0].message


def test_text_that_is_a_pipe_does_not_make_a_background(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    made = tmp_path / "set"
    writers["yolo"](made, [make_image(f"{n}.jpg", ("car", 1, 2, 30, 40), number=n) for n in range(2)])
    text = next(made.rglob("0.txt"))
    text.unlink()
    os.mkfifo(text)

    fault, warning = (entry for entry in read_dataset(made).entries() if isinstance(entry, Fault))

    assert "0.txt is no file but a folder, pipe or device" in fault.message
    assert warning.severity == "warning" and "0.txt is no file but a pipe" in warning.message
