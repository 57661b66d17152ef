# SPDX-License-Identifier: Apache-2.0
"""A list file that merges several data sets, in whatever layouts they are, into one.

    sources:
      - path: warehouse_2023
      - path: suppliers/acme
        format: yolo
        rename: {car: vehicle, lorry: vehicle}
        drop: [bicycle]

Paths are relative to the list file, and the data lie beside it: a job has no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training_src.class_names import one_spelling
from training_src.data.dataset import Box, Dataset, Entry, Fault
from training_src.data.formats import yaml_document
from training_src.data.formats.classes import named_class
from training_src.data.formats.data_folder import DataFolder
from training_src.data.formats.fields import AnnotationError, class_name, shown
from training_src.data.formats.folder import FORMATS, label_map_within, read_folder
from training_src.data.label_map import LabelMap, make_label_map
from training_src.errors import DataError

NAME = "sources"
LIST_FILE = "sources.yaml"

_KEYS = {"path", "uri", "format", "rename", "drop"}


def recognise(folder: Path) -> bool:
    """Whether the folder holds `sources.yaml`, or is itself such a list file."""
    return _list_file(folder) is not None


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read every source; the merged classes' names, sorted, get the ids from 1 where no label map is given.

    Raises:
        DataError: The list file is wrong, or a source cannot be read.
    """
    file = _list_file(folder)
    if file is None:
        raise DataError(f"{folder.name} holds no {LIST_FILE}; it lists the data sets to merge.")
    inside = DataFolder(file.parent)
    sources = _read_list(inside, file)
    datasets = [read_folder(file.parent / source.path, None, source.format) for source in sources]
    for source, dataset in zip(sources, datasets, strict=True):
        _refuse_unknown(file, source, dataset)
    own = file.parent / "label_map.pbtxt"
    label_map = label_map or (label_map_within(inside, own) if own.exists() else _merged_label_map(sources, datasets))
    fixed, ids = label_map, label_map.ids

    def entries() -> Iterator[Entry]:
        for source, dataset in zip(sources, datasets, strict=True):
            for entry in dataset.entries():
                yield from _merged(entry, source, fixed, ids)

    notices = [
        f"{source.path}: {notice}" for source, found in zip(sources, datasets, strict=True) for notice in found.notices
    ]
    formats = ", ".join(f"{source.path} is {found.format}" for source, found in zip(sources, datasets, strict=True))
    return Dataset(NAME, label_map, entries, (f"{file.name}: {formats}.", *notices))


@dataclass(frozen=True)
class _Source:
    """One data set of the list.

    Attributes:
        path: Relative to the list file, normalised.
        format: Forced, or None.
        rename: New names by the source's own.
        drop: Own names of the classes whose boxes are left out.
    """

    path: str
    format: str | None
    rename: Mapping[str, str]
    drop: frozenset[str]


def _list_file(folder: Path) -> Path | None:
    named = folder.suffix in (".yaml", ".yml") and not folder.is_dir()
    file = folder if named else folder / LIST_FILE
    return file if file.is_file() else None


def _read_list(folder: DataFolder, file: Path) -> list[_Source]:
    try:
        content = yaml_document.parse(folder.text(file, yaml_document.LARGEST))
        listed = content.get("sources")
        if not isinstance(listed, list) or not listed or content.keys() != {"sources"}:
            rest = "must hold `sources:` with a list, and nothing else; for a single data set name its folder"
            raise AnnotationError("sources", rest)
        sources = [_source(folder, entry, number) for number, entry in enumerate(listed)]
    except AnnotationError as error:
        raise DataError(f"{file.name} {error}.") from None
    for source in sources:
        if any(_overlap(source.path, other.path) for other in sources if other is not source):
            raise DataError(f'{file.name} reads "{source.path}" twice, or within another source; name it once.')
    return sources


def _source(folder: DataFolder, entry: Any, number: int) -> _Source:
    where = f"has source {number}, which"
    if not isinstance(entry, dict) or not ("path" in entry) ^ ("uri" in entry):
        raise AnnotationError("sources", f"{where} has no path (relative to the list file)")
    if unknown := sorted(map(str, entry.keys() - _KEYS)):
        raise AnnotationError(
            "sources", f"{where} has the unknown key {shown(unknown[0])}; known are path, format, rename, drop"
        )
    path = entry.get("path", entry.get("uri"))
    if not isinstance(path, str) or not path.strip():
        raise AnnotationError("sources", f"{where} has no path (relative to the list file)")
    if "://" in path:
        name = shown(path.rstrip("/").rsplit("/", 1)[-1])
        rest = f'names "{shown(path)}", but jobs have no network: copy it to the folder {name}/ beside the list file'
        raise AnnotationError("sources", f"{where} {rest}, and write `path: {name}`")
    place = folder.path / path
    if path.startswith("/") or ".." in Path(path).parts or not place.is_dir() or not folder.holds(str(place)):
        raise AnnotationError("sources", f'{where} names "{shown(path)}", which is no folder beside the list file')
    layout = entry.get("format")
    if layout is not None and layout not in [known.NAME for known in FORMATS]:
        known_names = ", ".join(known.NAME for known in FORMATS)
        raise AnnotationError("sources", f'{where} has the unknown format "{shown(layout)}"; known are {known_names}')
    rename, drop = entry.get("rename") or {}, entry.get("drop") or []
    if not isinstance(rename, dict) or not isinstance(drop, list) or not all(isinstance(n, str) for n in drop):
        raise AnnotationError("sources", f"{where} has a rename that is no mapping, or a drop that is no list")
    names = {one_spelling(str(old)): class_name(new) for old, new in rename.items()}
    return _Source(Path(path).as_posix(), layout, names, frozenset(one_spelling(name) for name in drop))


def _overlap(path: str, other: str) -> bool:
    one, two = Path(path), Path(other)
    return one == two or one in two.parents


def _refuse_unknown(file: Path, source: _Source, dataset: Dataset) -> None:
    """A misspelt class in the list would otherwise do nothing, silently."""
    unknown = sorted((source.rename.keys() | source.drop) - set(dataset.label_map.names.values()))
    if unknown:
        known = ", ".join(dataset.label_map.names.values())
        raise DataError(
            f'{file.name}: {source.path} has no class "{shown(unknown[0])}" to rename or drop; it has: {known}.'
        )


def _merged_label_map(sources: list[_Source], datasets: list[Dataset]) -> LabelMap:
    names = {
        source.rename.get(name, name)
        for source, dataset in zip(sources, datasets, strict=True)
        for name in dataset.label_map.names.values()
        if name not in source.drop
    }
    if not names:
        raise DataError(f"{LIST_FILE} drops every class; there is nothing to learn.")
    return make_label_map([dict(enumerate(sorted(names), start=1))], LIST_FILE)


def _merged(entry: Entry, source: _Source, label_map: LabelMap, ids: Mapping[str, int]) -> Iterator[Entry]:
    """An entry with the classes of the whole, under names that no other source has."""
    prefix = f"{source.path}/"
    if isinstance(entry, Fault):
        image = prefix + entry.image if entry.image else ""
        yield replace(entry, file=prefix + entry.file, message=prefix + entry.message, image=image)
        return
    boxes: list[Box] = []
    annotation = prefix + entry.annotation
    for box in entry.boxes:
        if box.name in source.drop:
            continue
        name = source.rename.get(box.name, box.name)
        try:
            boxes.append(replace(box, name=name, label=named_class(label_map, ids, name)))
        except AnnotationError as error:
            yield error.fault(annotation, box.place, prefix + entry.image)
    yield replace(
        entry,
        source_id=prefix + entry.source_id,
        image=prefix + entry.image,
        annotation=annotation,
        boxes=tuple(boxes),
        group=prefix + entry.group if entry.group else "",
    )
