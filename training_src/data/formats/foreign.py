# SPDX-License-Identifier: Apache-2.0
"""Layouts that people have and that no reader here reads: what they are, and which export to choose instead."""

from __future__ import annotations

import fnmatch
import json
import re
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from training_src.data.formats.data_folder import DataFolder, folders_in, named_like
from training_src.data.formats.fields import AnnotationError, shown
from training_src.data.formats.json_stream import elements, first
from training_src.data.images import IMAGE_SUFFIXES
from training_src.left_beside import is_foreign

_COLUMNS = "filename,class,xmin,ymin,xmax,ymax"
_COCO = "export it as COCO"
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_VIA = "an export of the VGG Image Annotator: choose `Export Annotations (COCO format)`"
_LFS = b"version https://git-lfs.github.com/spec/"
_CONVERTED = "convert them to COCO or YOLO, such as by FiftyOne or Ultralytics' converters"
_HUGGING_FACE = "of a Hugging Face data set: write its boxes as COCO, beside its images"
# Patterns of names in small letters, and what they say.
_NAMES = {
    "*.parquet": _HUGGING_FACE,
    "*.arrow": _HUGGING_FACE,
    "metadata.jsonl": _HUGGING_FACE,
    "*.odgt": f"CrowdHuman's: {_CONVERTED}",
    "*.ndjson": "Labelbox's or Ultralytics' JSON lines: choose the export `COCO` or `YOLO`",
    "wider_face_*": f"WIDER FACE's: {_CONVERTED}",
    "seqinfo.ini": f"of the MOT Challenge: {_CONVERTED}",
    "*.rec": "RecordIO of SageMaker's older built-in: name the folder of the images and JSON that it was made of",
    "*.lst": "a list of SageMaker's older built-in: add the images' JSON in train_annotation/, or make COCO of it",
    "*.mat": f"MATLAB's: {_CONVERTED}",
}
# An image, then `xmin,ymin,xmax,ymax,class` for each box.
_KERAS = re.compile(r"\S.{0,500}\.\w{3,4}\s+\d+(,\d+){4}(\s|$)")
# So many files of a folder are looked into.
_LOOKED_INTO = 5


def recognised_by_name(folder: Path) -> str | None:
    """A sentence's beginning that names a layout, or what is packed, with the way out; None for what nobody knows."""
    for place in (folder, *folders_in(folder)[:_LOOKED_INTO]):
        if not DataFolder(folder).holds(str(place)):
            return f"{place.name}/ is a link to a folder outside the data set: copy the folder in"
        for recognise in _KNOWN:
            if (sentence := recognise(place)) is not None:
                return sentence if place == folder else f"in {place.name}/, {sentence}"
    return _images_only(folder)


def no_folder(path: Path) -> str:
    """A sentence on what is there in place of a data set's folder, with the way out."""
    if path.is_file() and path.name.lower().endswith(_ARCHIVES):
        return f"{path} is an archive: unpack it, and name the folder that comes out{_within(path)}"
    what = "is a file" if path.is_file() else "is no folder" if path.exists() else "does not exist"
    return f"{path} {what}; name the folder that holds the images and their annotations"


def _within(archive: Path) -> str:
    """The one folder that all of a ZIP file lies in, by its table of contents; nothing is unpacked."""
    try:
        with zipfile.ZipFile(archive) as content:
            tops = {name.partition("/")[0] for name in content.namelist() if "/" in name}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ""
    tops -= {top for top in tops if is_foreign(top)}
    return f" ({shown(tops.pop())}/)" if len(tops) == 1 else ""


def _packed(folder: Path) -> str | None:
    found = [file.name for file in named_like(folder, "*") if file.name.lower().endswith(_ARCHIVES)]
    return f"{found[0]} is an archive: unpack it, and name the folder that comes out" if found else None


def _by_suffix(folder: Path) -> str | None:
    """What a file's name alone tells."""
    for name in (file.name for file in named_like(folder, "*")):
        for pattern, sentence in _NAMES.items():
            if fnmatch.fnmatchcase(name.lower(), pattern):
                return f"{name} is {sentence}"
    return None


def _unreadable(folder: Path) -> str | None:
    """Annotations that did not arrive: empty, a pointer in their place, or cut off."""
    inside = DataFolder(folder)
    for file in islice(inside.files(folder, (".json", ".xml", ".csv", ".manifest", ".yaml")), _LOOKED_INTO):
        try:
            beginning = inside.read(file, 1 << 30)[:200] if file.stat().st_size < 1 << 20 else b" "
        except AnnotationError:
            continue
        if not beginning.strip():
            return f"{file.name} is empty: export it again"
        if beginning.startswith(_LFS):
            return (
                f"{file.name} is a pointer of Git LFS: run `git lfs pull` where it comes from, and copy the files again"
            )
        if file.suffix.lower() == ".json" and (wrong := _no_json(file)):
            return f"{file.name} is no JSON ({wrong}): export it again"
    return None


def _no_json(file: Path) -> str:
    """What is wrong with a small JSON file; empty where nothing is."""
    try:
        json.loads(file.read_text("utf-8-sig") if file.stat().st_size < 1 << 24 else "0")
    except (OSError, ValueError, RecursionError) as error:
        return shown(str(error) or type(error).__name__, 120)
    return ""


def _kitti(folder: Path) -> str | None:
    places = [place for root in (folder, folder / "training") for place in (root / "label_2", root / "image_2")]
    if not any(place.is_dir() for place in places):
        return None
    return "label_2/ and image_2/ are KITTI's: read it into CVAT or FiftyOne and export it as COCO or Pascal VOC"


def _supervisely(folder: Path) -> str | None:
    if not (folder / "meta.json").is_file() or not any(place.name == "ann" for place in folder.glob("*/ann")):
        return None
    return "meta.json and ann/ are Supervisely's: choose its app `Export to COCO`, or `Export to Pascal VOC`"


def _open_images(folder: Path) -> str | None:
    inside = DataFolder(folder)
    for file in list(inside.files(folder, (".csv",)))[:_LOOKED_INTO]:
        head = _head(inside, file).replace(" ", "")
        if head.startswith("ImageID,") and "LabelName" in head:
            return f"{file.name} is Open Images' table: fetch it by FiftyOne's zoo and {_COCO}"
    return None


def _cvat(folder: Path) -> str | None:
    inside = DataFolder(folder)
    for file in list(inside.files(folder, (".xml",)))[:_LOOKED_INTO]:
        try:
            beginning = inside.read(file)[:4096]
        except AnnotationError:
            continue
        if b"<annotations>" in beginning:
            return f"{file.name} is `CVAT for images`: export the task as `COCO 1.0` or `PASCAL VOC 1.1`, with images"
    return None


def _vott(folder: Path) -> str | None:
    if not any(folder.glob("*.vott")) and not any(name.name.endswith("-asset.json") for name in folder.glob("*.json")):
        return None
    return "*.vott and *-asset.json are VoTT's project: choose its export `Pascal VOC` or `CSV`"


def _via_table(folder: Path) -> str | None:
    inside = DataFolder(folder)
    for file in list(inside.files(folder, (".csv",)))[:_LOOKED_INTO]:
        if "region_shape_attributes" in _head(inside, file):
            return f"{file.name} is {_VIA}"
    return None


def _json(folder: Path) -> str | None:
    """LabelMe, VIA, BDD100K and Label Studio tell themselves by the keys of their JSON."""
    places = [folder, *folders_in(folder)]
    files = [file for place in places for file in named_like(place, "*.json")[:_LOOKED_INTO] if file.is_file()]
    for file in files[: 4 * _LOOKED_INTO]:
        name = file.relative_to(folder).as_posix()
        if first(file, "shapes") and first(file, "imagePath"):
            return f"{name} is LabelMe's: convert it by its own `labelme2coco.py` or `labelme2voc.py`"
        if first(file, "_via_img_metadata", "_via_settings"):
            return f"{name} is a project of the VGG Image Annotator: choose `Export Annotations (COCO format)`"
        if _is_of_via(file):
            return f"{name} is {_VIA}"
        if first(file, "securityToken", "videoSettings"):
            return f"{name} is VoTT's JSON: choose its export `Pascal VOC` or `CSV`"
        if first(file, "samples") or (first(file, "classes") and first(file, "labels")):
            return f"{name} is FiftyOne's own: export it as `fo.types.COCODetectionDataset`, with its images"
        if first(file, "items") and first(file, "categories"):
            return f"{name} is Datumaro's: choose the export `COCO 1.0` or `PASCAL VOC 1.1`"
        if first(file, "detection-annotations", "tracking-annotations"):
            return f"{name} is of Ground Truth's video jobs: label frames as images, or convert it to COCO"
        element = _first_of_list(file)
        if isinstance(element, dict) and ("labels" in element and "name" in element):
            return f"{name} is BDD100K's (Scalabel): convert it by `python -m bdd100k.label.to_coco`"
        if isinstance(element, dict) and "image" in element and _has_coordinates(element):
            return f"{name} is CreateML's: choose the export `COCO` or `Pascal VOC` (Roboflow has both)"
        of_label_studio = "data" in element or "id" in element if isinstance(element, dict) else False
        if of_label_studio and element.keys() & {"annotations", "completions", "label", "annotator"}:
            return f"{name} is Label Studio's JSON: choose the export `COCO`, `YOLO with Images` or `Pascal VOC XML`"
    return None


def _is_of_via(file: Path) -> bool:
    """Whether a JSON object holds images' entries, as VIA exports them: by the file's name and size, with regions."""
    try:
        _, entry = next(elements(file, chunk=1 << 16), ("", None))
    except (ValueError, OSError):
        return False
    return isinstance(entry, dict) and entry.keys() >= {"filename", "size", "regions"}


def _has_coordinates(element: dict[str, Any]) -> bool:
    found = element.get("annotations") or element.get("annotation")
    return isinstance(found, list) and bool(found) and isinstance(found[0], dict) and "coordinates" in found[0]


def _other_texts(folder: Path) -> str | None:
    """Lines of data sets that are known for themselves."""
    first_line = _first_text(folder)
    fields = first_line.split(",")
    if len(fields) in (8, 9) and all(map(_is_number, fields[:8])):
        return f"the texts are VisDrone's: {_CONVERTED}"
    if _KERAS.match(first_line):
        return "the texts are of YOLO for Keras, an image with its boxes a line: choose the export `COCO` or `YOLOv8`"
    if first_line.startswith("imagesource:") or (
        len(first_line.split()) == 10 and not _is_number(first_line.split()[8])
    ):
        return f"the texts are DOTA's, of turned boxes: {_CONVERTED}"
    return None


def _kitti_texts(folder: Path) -> str | None:
    """KITTI's lines: a class, and fourteen numbers or fifteen, as FiftyOne writes them into `labels/`, too."""
    fields = _first_text(folder).split()
    if len(fields) in (15, 16) and not _is_number(fields[0]) and all(map(_is_number, fields[1:])):
        return "the texts are KITTI's: read them into CVAT or FiftyOne and export them as COCO or Pascal VOC"
    return None


def _yolo_texts(folder: Path) -> str | None:
    """YOLO's lines where neither a list of classes nor images in their place show it."""
    fields = _first_text(folder).split()
    if len(fields) != 5 or not all(map(_is_number, fields)):
        return None
    return (
        "the texts look like YOLO's: put them into labels/ beside images/ (Label Studio: the export "
        "`YOLO with Images`), and name the classes in classes.txt, a line each"
    )


def _table(folder: Path) -> str | None:
    """A table of boxes whose first line does not name them as they are read."""
    inside = DataFolder(folder)
    for file in islice(inside.files(folder, (".csv", ".tsv")), _LOOKED_INTO):
        head = _head(inside, file)
        if len(head.replace(";", ",").replace("\t", ",").split(",")) >= len(_COLUMNS.split(",")) - 1:
            return f"{file.name} is a table: let its first line name the columns {_COLUMNS}, with commas between them"
    return None


def _other_encoding(folder: Path) -> str | None:
    inside = DataFolder(folder)
    for file in islice(inside.files(folder, (".json", ".csv", ".yaml", ".txt")), _LOOKED_INTO):
        try:
            beginning = inside.read(file, 1 << 30)[:2] if file.stat().st_size < 1 << 24 else b""
        except AnnotationError:
            continue
        if beginning in (b"\xff\xfe", b"\xfe\xff"):
            return f"{file.name} is written in UTF-16: save it as UTF-8"
    return None


def _first_text(folder: Path) -> str:
    inside = DataFolder(folder)
    found = (file for file in inside.files(folder, (".txt",)) if file.name not in ("classes.txt", "README.txt"))
    return next((_head(inside, file) for file in found), "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first_of_list(file: Path) -> Any:
    """The first element of a file that is a JSON list; None where it is none, or far too long."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            text = stream.read(1 << 20).lstrip()
        if not text.startswith("["):
            return None
        element, _ = json.JSONDecoder().raw_decode(text[1:].lstrip())
    except (OSError, ValueError, RecursionError):
        return None
    return element


def _images_only(folder: Path) -> str | None:
    inside = DataFolder(folder)
    if next(inside.files(folder, IMAGE_SUFFIXES, deep=True), None) is None:
        return None
    texts = (".json", ".xml", ".txt", ".csv", ".manifest", ".jsonl", ".yaml", ".yml")
    if next(inside.files(folder, texts, deep=True), None) is not None:
        return None
    return "there are images and no annotations: add the labelling tool's export beside them"


def _head(folder: DataFolder, file: Path) -> str:
    try:
        return next((text for _, text in folder.lines(file)), "")
    except (AnnotationError, OSError):
        return ""


_KNOWN: tuple[Callable[[Path], str | None], ...] = (
    _packed,
    _by_suffix,
    _kitti,
    _supervisely,
    _open_images,
    _via_table,
    _cvat,
    _vott,
    _json,
    _kitti_texts,
    _other_texts,
    _table,
    _yolo_texts,
    _other_encoding,
    _unreadable,
)
