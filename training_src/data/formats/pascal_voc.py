# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC: one XML file an image, and lists of names that tell the splits.

Box edges are taken as the TF Object Detection API takes them: `xmin / width`, nothing subtracted.
Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, section 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from training_src.data.dataset import Dataset, Entry, Fault, labelled_file
from training_src.data.formats.classes import NamedBox, labelled_boxes
from training_src.data.formats.data_folder import DataFolder, is_file, named_like, split_folders
from training_src.data.formats.fields import AnnotationError, class_name, flag, four_numbers, shown, size
from training_src.data.formats.xml_document import parse
from training_src.data.label_map import LabelMap
from training_src.data.spill import Spill
from training_src.data.splits import given_split

NAME = "pascal_voc"


def recognise(folder: Path) -> bool:
    """Whether the folder or a split's folder in it has `Annotations` with XML, or XML files beside its images."""
    if (folder / "ImageSets").is_dir() or named_like(folder, "*.xml") or any(_split_folders(folder)):
        return True
    annotations = folder / "Annotations"
    return annotations.is_dir() and (named_like(annotations, "*.xml") or not any(annotations.iterdir()))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read all XML files; without a label map the class names, sorted, get the ids from 1."""
    inside = DataFolder(folder)
    lists = _read_lists(inside)
    if label_map is None:
        documents = (found for found in _documents(inside, lists) if isinstance(found, _Document))
        names = sorted({item.name for document in documents for item in document.objects})
        label_map = LabelMap(dict(enumerate(names, start=1)))
    fixed, ids = label_map, label_map.ids

    def entries() -> Iterator[Entry]:
        yield from lists.faults
        for document in _documents(inside, lists):
            if isinstance(document, Fault):
                yield document
                continue
            image = inside.name(document.image)
            boxes = labelled_boxes(document.objects, fixed, ids, document.file, image)
            yield from labelled_file(image, str(document.image), document.file, boxes, document.size, document.split)
        yield from _listed_but_missing(inside, lists)

    return Dataset(NAME, label_map, entries, _notices(inside, lists))


@dataclass(frozen=True)
class _Document:
    """One annotation file."""

    file: str
    image: Path
    size: tuple[int, int]
    objects: tuple[NamedBox, ...]
    split: str | None


@dataclass
class _Lists:
    """What ImageSets/Main says: splits by stem; `given` is False where there are no such lists."""

    given: bool = False
    splits: Spill = field(default_factory=Spill)
    faults: list[Fault] = field(default_factory=list)


def _split_folders(folder: Path) -> Iterator[Path]:
    for child, _ in split_folders(folder):
        if (child / "Annotations").is_dir() or named_like(child, "*.xml"):
            yield child


def _read_lists(folder: DataFolder) -> _Lists:
    """Names by split; lists of single classes (`car_train.txt`) are not looked at."""
    lists = _Lists()
    main = folder.path / "ImageSets" / "Main"
    files = {file.stem.lower(): file for file in folder.files(main, (".txt",))}
    wanted = {stem: given_split(stem) for stem in files if "_" not in stem and given_split(stem)}
    if "trainval" in files and not {"train", "validation"} & set(wanted.values()):
        wanted["trainval"] = "train"
    lists.given = bool(wanted)
    for stem, split in wanted.items():
        place = folder.name(files[stem])
        try:
            names = [line.split()[0] for line in folder.text(files[stem], 1 << 30).splitlines() if line.strip()]
        except AnnotationError as error:
            lists.faults.append(error.fault(place))
            continue
        if not names:
            lists.faults.append(Fault(place, None, "empty", f"{place} is empty; list its images, or remove the file."))
        for name in names:
            _add(lists, name, str(split))
    return lists


def _add(lists: _Lists, name: str, split: str) -> None:
    before = lists.splits.rows(name)
    if before and before[0] != split:
        message = f'ImageSets/Main lists "{shown(name)}" for {before[0]} and for {split}; an image has one split.'
        lists.faults.append(Fault("ImageSets/Main", None, "split", message))
    elif not before:
        lists.splits.add(name, split)


def _files(folder: DataFolder, lists: _Lists) -> Iterator[tuple[Path, Path, str | None]]:
    """Annotation files with their image folder and split, those that no list names left out."""
    for root in [folder.path, *_split_folders(folder.path)]:
        annotations = root / "Annotations" if (root / "Annotations").is_dir() else root
        pictures = root / "JPEGImages" if (root / "JPEGImages").is_dir() else root
        split = None if root == folder.path else given_split(root.name)
        for file in folder.files(annotations, (".xml",)):
            if not lists.given:
                yield file, pictures, split
            elif found := lists.splits.rows(file.stem):
                yield file, pictures, str(found[0])


def _documents(folder: DataFolder, lists: _Lists) -> Iterator[_Document | Fault]:
    for file, pictures, split in _files(folder, lists):
        place = folder.name(file)
        try:
            root = parse(folder.read(file))
            if root.tag != "annotation":
                rest = f"holds <{shown(root.tag)}>, not the <annotation> of Pascal VOC; remove it or export it again"
                raise AnnotationError("annotation", rest)
            image = _image(folder, pictures, file, root)
            sizes = size(root.findtext("size/width"), root.findtext("size/height"))
            yield _Document(place, image, sizes, tuple(_objects(root)), split)
        except AnnotationError as error:
            yield error.fault(place)


def _image(folder: DataFolder, pictures: Path, file: Path, root: Element) -> Path:
    """The image that `filename` names, or else the one with the annotation's own stem."""
    named = (root.findtext("filename") or "").replace("\\", "/").rsplit("/", 1)[-1].strip()
    try:
        return folder.image(named, (pictures,))
    except AnnotationError:
        if image := folder.beside(file.stem, (pictures,)):
            return image
    rest = f'names the image "{shown(named)}", which is not in {pictures.name}; add it or remove the file'
    raise AnnotationError("missing_image", rest)


def _objects(root: Element) -> Iterator[NamedBox]:
    for number, item in enumerate(root.findall("object")):
        name = (item.findtext("name") or "").strip()
        texts = [item.findtext(f"bndbox/{edge}") or "" for edge in ("xmin", "ymin", "xmax", "ymax")]
        try:
            edges = four_numbers(texts)
            class_name(name)
        except AnnotationError as error:
            raise AnnotationError(error.check, f'has object {number} ("{shown(name)}"), which {error}') from None
        flags = [flag((item.findtext(key) or "").strip()) for key in ("difficult", "truncated")]
        yield NamedBox(edges, name, f"object {number}", *flags)


def _listed_but_missing(folder: DataFolder, lists: _Lists) -> Iterator[Fault]:
    annotations = folder.path / "Annotations"
    for name, split in lists.splits.items():
        if not is_file(f"{annotations}/{name}.xml"):
            text = shown(str(name))
            message = f'ImageSets/Main lists "{text}" for {split}, but there is no Annotations/{text}.xml.'
            yield Fault("ImageSets/Main", None, "annotation", message)


def _notices(folder: DataFolder, lists: _Lists) -> tuple[str, ...]:
    annotations = folder.path / "Annotations"
    if not lists.given or not annotations.is_dir():
        return ()
    left_out = sum(file.stem not in lists.splits for file in folder.files(annotations, (".xml",)))
    if not left_out:
        return ()
    return (f"{left_out} annotated images are in no list of ImageSets/Main and are left out.",)
