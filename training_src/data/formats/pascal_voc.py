# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC: one XML file an image, and lists of names that tell the splits.

Box edges are taken as the TF Object Detection API takes them: `xmin / width`, nothing subtracted. Beside VOC's own
folders come those that tools and people make of them: `images/` with `annotations/` or `annots/`, XML files beside the
images, a folder a split, and folders in all of these.
Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from training_src.data.dataset import Dataset, Entry, Fault, labelled_file
from training_src.data.formats.classes import NamedBox, labelled_boxes
from training_src.data.formats.data_folder import DataFolder, folders_in, has_file, split_folders
from training_src.data.formats.fields import AnnotationError, class_name, flag, four_numbers, number, shown, size
from training_src.data.formats.rotation import enclosing
from training_src.data.formats.xml_document import parse
from training_src.data.images import IMAGE_SUFFIXES
from training_src.data.label_map import LabelMap, make_label_map
from training_src.data.spill import Spill
from training_src.data.splits import given_split

NAME = "pascal_voc"

# What folders are called, VOC's own name first; capitals do not matter.
_ANNOTATIONS = ("annotations", "annotation", "annots", "xmls", "xml", "labels")
_PICTURES = ("jpegimages", "images", "image", "imgs", "img", "data")
# A list of a single class ends its lines with 1, 0 or -1: https://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf
_MARK = re.compile(r"\s+-?[01]$")


def recognise(folder: Path) -> bool:
    """Whether there are `ImageSets`, an empty `Annotations`, or XML files in one of the places where tools put them."""
    annotations = folder / "Annotations"
    empty = annotations.is_dir() and not any(annotations.iterdir())
    return empty or (folder / "ImageSets").is_dir() or any(_is_voc(root.annotations) for root in _roots(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read all XML files; without a label map the class names, sorted, get the ids from 1."""
    inside = DataFolder(folder)
    lists = _read_lists(inside)
    names = _FileNames(inside)
    if label_map is None:
        documents = (found for found in _documents(inside, lists, names) if isinstance(found, _Document))
        found_names = sorted({item.name for document in documents for item in document.objects})
        label_map = make_label_map([dict(enumerate(found_names, start=1))], folder.name)
    fixed, ids = label_map, label_map.ids

    def entries() -> Iterator[Entry]:
        yield from lists.faults
        for document in _documents(inside, lists, names):
            if isinstance(document, Fault):
                yield document
                continue
            image = inside.name(document.image)
            boxes = labelled_boxes(document.objects, fixed, ids, document.file, image)
            yield from labelled_file(image, str(document.image), document.file, boxes, document.size, document.split)
        yield from _listed_but_missing(inside, lists)

    return Dataset(NAME, label_map, entries, _notices(inside, lists), tells_left_out=lists.given)


@dataclass(frozen=True)
class _Root:
    """A folder with annotations, where their images lie, and the split that it speaks of."""

    annotations: Path
    pictures: Path
    split: str | None

    def images_of(self, file: Path) -> tuple[Path, ...]:
        """Where an annotation's image may lie: under the annotation's own folders first, beside it last."""
        within = file.parent.relative_to(self.annotations)
        return tuple(dict.fromkeys((self.pictures / within, self.pictures, file.parent)))


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
    """What ImageSets/Main says: splits by name, which has folders in front where the list has; None: no split.

    Attributes:
        given: Whether there are such lists.
    """

    given: bool = False
    splits: Spill = field(default_factory=Spill)
    faults: list[Fault] = field(default_factory=list)

    def find(self, name: str) -> str | None:
        """The name under which an annotation is listed: its own with its folders, else without; None: it is not."""
        return next((known for known in (name, name.rpartition("/")[2]) if known in self.splits), None)


class _FileNames:
    """Whether all annotations of a folder name one and the same image, which then is a leftover that says nothing."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._same: dict[Path, bool] = {}

    def say_nothing(self, place: Path) -> bool:
        """Read a folder's annotations, once; one alone says what it says."""
        if place not in self._same:
            names = set()
            count = 0
            for file in self._folder.files(place, (".xml",)):
                try:
                    names.add(_named(parse(self._folder.read(file))))
                    count += 1
                except AnnotationError:
                    continue
            self._same[place] = count > 1 and len(names) == 1
        return self._same[place]


def _roots(folder: Path) -> Iterator[_Root]:
    """The places of annotations in a data set; one within another comes once."""
    places: list[tuple[Path, str | None]] = [(folder, None), *split_folders(folder)]
    pictures = next(_children(folder, _PICTURES), None)
    if pictures is not None and not any(map(_has_xml, _children(folder, _ANNOTATIONS))):
        places += [(pictures, None), *split_folders(pictures)]
    taken: list[Path] = []
    for place, split in places:
        annotations = next(filter(_has_xml, _children(place, _ANNOTATIONS)), None)
        if annotations is None and has_file(place, ".xml"):
            annotations = place
        if annotations is None or any(annotations.is_relative_to(other) for other in taken if other != folder):
            continue
        taken.append(annotations)
        yield _Root(annotations, next(_children(place, _PICTURES), place), split)


def _children(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """A folder's folders of some names, in the names' order."""
    folders = folders_in(folder)
    for name in names:
        yield from (child for child in folders if child.name.lower() == name)


def _has_xml(place: Path) -> bool:
    return next(DataFolder(place).files(place, (".xml",), deep=True), None) is not None


def _is_voc(place: Path) -> bool:
    """Whether a place's first XML file is not CVAT's, which holds the annotations of all images."""
    inside = DataFolder(place)
    file = next(inside.files(place, (".xml",), deep=True), None)
    try:
        return file is not None and b"<annotations>" not in inside.read(file)[:4096]
    except AnnotationError:
        return True


def _read_lists(folder: DataFolder) -> _Lists:
    """Names by split; lists of single classes (`car_train.txt`) are not looked at."""
    lists = _Lists()
    main = folder.path / "ImageSets" / "Main"
    files = {file.stem.lower(): file for file in folder.files(main, (".txt",))}
    named = {stem: given_split(stem) for stem in files if "_" not in stem and stem != "trainval"}
    wanted: dict[str, str | None] = {stem: split for stem, split in named.items() if split}
    if "trainval" in files and not {"train", "validation"} & set(wanted.values()):
        wanted["trainval"] = "train"
    if "default" in files and not wanted:
        wanted["default"] = None  # CVAT's name of everything
    lists.given = bool(wanted)
    for stem, split in wanted.items():
        place = folder.name(files[stem])
        try:
            names = [_listed(line) for line in folder.text(files[stem], 1 << 30).splitlines() if line.strip()]
        except AnnotationError as error:
            lists.faults.append(error.fault(place))
            continue
        if not names:
            lists.faults.append(Fault(place, None, "empty", f"{place} is empty; list its images, or remove the file."))
        for name in names:
            _add(lists, name, split)
    return lists


def _listed(line: str) -> str:
    """The name that a line of a list holds; tools write it with a suffix, with folders, and with a mark behind it."""
    name = _MARK.sub("", line.strip()).replace("\\", "/").removeprefix("./")
    if name.lower().endswith((".xml", *IMAGE_SUFFIXES)):
        name = name.rpartition(".")[0]
    first, _, rest = name.partition("/")
    return rest if rest and first.lower() in (*_PICTURES, *_ANNOTATIONS) else name


def _add(lists: _Lists, name: str, split: str | None) -> None:
    before = lists.splits.rows(name)
    if before and before[0] != split:
        message = f'ImageSets/Main lists "{shown(name)}" for {before[0]} and for {split}; an image has one split.'
        lists.faults.append(Fault("ImageSets/Main", None, "split", message))
    elif not before:
        lists.splits.add(name, split)


def _files(folder: DataFolder, lists: _Lists) -> Iterator[tuple[Path, _Root, str | None]]:
    """Annotation files with their place and split, those that no list names left out."""
    for root in _roots(folder.path):
        for file in folder.files(root.annotations, (".xml",), deep=root.annotations != folder.path):
            within = file.relative_to(root.annotations)
            if not lists.given:
                own = given_split(within.parts[0]) if len(within.parts) > 1 else None
                yield file, root, root.split or own
            elif (listed := lists.find(within.with_suffix("").as_posix())) is not None:
                yield file, root, lists.splits.rows(listed)[0]


def _documents(folder: DataFolder, lists: _Lists, names: _FileNames) -> Iterator[_Document | Fault]:
    for file, place, split in _files(folder, lists):
        written = folder.name(file)
        try:
            root = parse(folder.read(file))
            if root.tag != "annotation":
                rest = f"holds <{shown(root.tag)}>, not the <annotation> of Pascal VOC; remove it or export it again"
                raise AnnotationError("annotation", rest)
            image = _image(folder, place.images_of(file), file, root, names)
            sizes = size(root.findtext("size/width"), root.findtext("size/height"))
            yield _Document(written, image, sizes, tuple(_objects(root)), split)
        except AnnotationError as error:
            yield error.fault(written)


def _named(root: Element) -> str:
    return (root.findtext("filename") or "").replace("\\", "/").rsplit("/", 1)[-1].strip()


def _image(folder: DataFolder, places: tuple[Path, ...], file: Path, root: Element, names: _FileNames) -> Path:
    """The image that `filename` names, or else the one with the annotation's own stem.

    Where both are there and differ, files were renumbered after they were labelled, and nobody can say which is meant.
    """
    named = _named(root)
    own = folder.beside(file.stem, places)
    try:
        image = folder.image(named, places)
    except AnnotationError:
        if own is not None:
            return own
        rest = f'names the image "{shown(named)}", which is not in {places[0].name}; add it or remove the file'
        raise AnnotationError("missing_image", rest) from None
    if own is None or own == image or own.stem == image.stem:
        return image
    if names.say_nothing(file.parent):
        return own
    rest = (
        f'says <filename>{shown(named)}</filename>, but "{own.name}" has its own name, and both are there: files were '
        "renamed after they were labelled. Give annotation and image one name, or correct <filename>"
    )
    raise AnnotationError("annotation", rest)


def _objects(root: Element) -> Iterator[NamedBox]:
    for position, item in enumerate(root.findall("object")):
        name = (item.findtext("name") or "").strip()
        if item.find("bndbox") is None:
            rest = "has no bndbox; export boxes, not outlines or turned ones"
            raise AnnotationError("annotation", f'has object {position} ("{shown(name)}"), which {rest}')
        texts = [item.findtext(f"bndbox/{edge}") or "" for edge in ("xmin", "ymin", "xmax", "ymax")]
        try:
            edges = enclosing(four_numbers(texts), _rotation(item))
            name = class_name(name)
        except AnnotationError as error:
            raise AnnotationError(error.check, f'has object {position} ("{shown(name)}"), which {error}') from None
        flags = [flag((item.findtext(key) or "").strip()) for key in ("difficult", "truncated")]
        yield NamedBox(edges, name, f"object {position}", *flags)


def _rotation(item: Element) -> float:
    """By how many degrees CVAT turned an object's box."""
    for attribute in item.iterfind("attributes/attribute"):
        if attribute.findtext("name") == "rotation":
            return number(attribute.findtext("value") or 0)
    return 0.0


def _listed_but_missing(folder: DataFolder, lists: _Lists) -> Iterator[Fault]:
    roots = list(_roots(folder.path)) if lists.given else []
    annotated = Spill()
    for root in roots:
        for file in folder.files(root.annotations, (".xml",), deep=root.annotations != folder.path):
            if listed := lists.find(file.relative_to(root.annotations).with_suffix("").as_posix()):
                annotated.add(listed, None)
    where = folder.name(roots[0].annotations) if roots else "Annotations"
    for name, split in lists.splits.items():
        if name not in annotated:
            text = shown(str(name))
            for_split = f" for {split}" if split else ""
            message = f'ImageSets/Main lists "{text}"{for_split}, but there is no {where}/{text}.xml.'
            yield Fault("ImageSets/Main", None, "annotation", message)


def _notices(folder: DataFolder, lists: _Lists) -> tuple[str, ...]:
    if not lists.given:
        return ()
    left_out = sum(
        lists.find(file.relative_to(root.annotations).with_suffix("").as_posix()) is None
        for root in _roots(folder.path)
        for file in folder.files(root.annotations, (".xml",), deep=root.annotations != folder.path)
    )
    if not left_out:
        return ()
    what = "1 annotated image is" if left_out == 1 else f"{left_out} annotated images are"
    return (f"{what} in no list of ImageSets/Main and left out.",)
