# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC: one XML file an image, and lists of names that tell the splits.

Box edges are taken as the TF Object Detection API takes them: `xmin / width`, nothing subtracted.
Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, section 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from training_src.data.dataset import Box, Dataset, Encoded, Entry, Fault, LabelledImage
from training_src.data.images import IMAGE_SUFFIXES
from training_src.data.label_map import LabelMap
from training_src.data.splits import given_split
from training_src.errors import DataError

NAME = "pascal_voc"


def recognise(folder: Path) -> bool:
    """Whether the folder or a split's folder in it has `Annotations`, or XML files beside its images."""
    if (folder / "Annotations").is_dir() or (folder / "ImageSets").is_dir():
        return True
    return any(folder.glob("*.xml")) or any(_split_folders_with_annotations(folder))


def read(folder: Path, label_map: LabelMap | None) -> Dataset:
    """Read all XML files; without a label map the class names, sorted, get the ids from 1."""
    faults: list[Fault] = []
    notices: list[str] = []
    lists = _image_sets(folder, faults)
    documents = []
    for root in [folder, *_split_folders_with_annotations(folder)]:
        split = None if root == folder else given_split(root.name)
        documents += _read_root(folder, root, split, faults)
    if lists:
        documents = _listed(documents, lists, faults, notices)
    names = sorted({item.name for document in documents for item in document.objects})
    if label_map is None:
        if not names:
            raise DataError(f"{folder.name}: no annotation file holds an object; there is nothing to learn.")
        label_map = LabelMap(dict(enumerate(names, start=1)))
    images = [_labelled(folder, document, label_map, faults) for document in documents]
    entries: tuple[Entry, ...] = (*images, *faults)
    return Dataset(NAME, label_map, lambda: iter(entries), tuple(notices))


@dataclass(frozen=True)
class _Object:
    name: str
    edges: tuple[float, float, float, float]  # xmin, ymin, xmax, ymax
    difficult: bool
    truncated: bool


@dataclass(frozen=True)
class _Document:
    """One annotation file."""

    file: str
    image: Path
    width: int
    height: int
    objects: tuple[_Object, ...]
    split: str | None

    @property
    def stem(self) -> str:
        return Path(self.file).stem


def _split_folders_with_annotations(folder: Path) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        if not child.is_dir() or not given_split(child.name):
            continue
        if (child / "Annotations").is_dir() or any(child.glob("*.xml")):
            yield child


def _image_sets(folder: Path, faults: list[Fault]) -> Mapping[str, Sequence[str]]:
    """Names by split, from ImageSets/Main; lists of single classes (`car_train.txt`) are not looked at."""
    found: dict[str, list[str]] = {}
    main = folder / "ImageSets" / "Main"
    if not main.is_dir():
        return found
    files = {file.stem.lower(): file for file in sorted(main.glob("*.txt"))}
    wanted = {stem: given_split(stem) for stem in files if "_" not in stem and given_split(stem)}
    if "trainval" in files and not {"train", "validation"} & set(wanted.values()):
        wanted["trainval"] = "train"
    for stem, split in wanted.items():
        names = [line.split()[0] for line in files[stem].read_text(encoding="utf-8").splitlines() if line.strip()]
        if not names:
            place = files[stem].relative_to(folder).as_posix()
            faults.append(Fault(place, None, "empty", f"{place} is empty; list its images, or remove the file."))
        found.setdefault(str(split), []).extend(names)
    return found


def _read_root(folder: Path, root: Path, split: str | None, faults: list[Fault]) -> list[_Document]:
    annotations = root / "Annotations" if (root / "Annotations").is_dir() else root
    pictures = root / "JPEGImages" if (root / "JPEGImages").is_dir() else root
    by_name = {file.name: file for file in sorted(pictures.iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES}
    by_stem = {file.stem: file for file in by_name.values()}
    documents = []
    for file in sorted(annotations.glob("*.xml")):
        place = file.relative_to(folder).as_posix()
        try:
            document = _parse(file)
            named = (document.findtext("filename") or "").replace("\\", "/").rsplit("/", 1)[-1].strip()
            image = by_name.get(named) or by_stem.get(file.stem)
            if image is None:
                raise ValueError(
                    f'names the image "{named}", which is not in {pictures.name}; add it or remove the file'
                )
            size = _size(document)
            documents.append(_Document(place, image, *size, tuple(_objects(document)), split))
        except ValueError as error:
            faults.append(Fault(place, None, "annotation", f"{place} {error}."))
    return documents


def _parse(file: Path) -> ElementTree.Element:
    content = file.read_bytes()
    if not content.strip():
        raise ValueError("is empty; export it again")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"is no XML: {error}; export it again") from None
    if root.tag != "annotation":
        raise ValueError(f"holds <{root.tag}>, not the <annotation> of Pascal VOC; remove it or export it again")
    return root


def _size(document: ElementTree.Element) -> tuple[int, int]:
    width, height = document.findtext("size/width") or "0", document.findtext("size/height") or "0"
    try:
        return int(float(width)), int(float(height))
    except ValueError:
        raise ValueError(f'states the size "{width}" x "{height}"; write whole pixels') from None


def _objects(document: ElementTree.Element) -> Iterator[_Object]:
    for number, item in enumerate(document.findall("object")):
        name = (item.findtext("name") or "").strip()
        texts = [item.findtext(f"bndbox/{edge}") or "" for edge in ("xmin", "ymin", "xmax", "ymax")]
        try:
            xmin, ymin, xmax, ymax = map(float, texts)
        except ValueError:
            raise ValueError(f'has object {number} ("{name}") with a box that is not four numbers: {texts}') from None
        flags = [(item.findtext(flag) or "0").strip() in ("1", "true", "True") for flag in ("difficult", "truncated")]
        yield _Object(name, (xmin, ymin, xmax, ymax), *flags)


def _listed(
    documents: Sequence[_Document], lists: Mapping[str, Sequence[str]], faults: list[Fault], notices: list[str]
) -> list[_Document]:
    """The documents that ImageSets list, with their splits."""
    by_stem = {document.stem: document for document in documents}
    broken = {Path(fault.file).stem for fault in faults}
    found: dict[str, _Document] = {}
    for split, names in lists.items():
        for name in names:
            document = by_stem.get(name)
            if document is None:
                if name not in broken:
                    message = f'ImageSets/Main lists "{name}" for {split}, but there is no Annotations/{name}.xml.'
                    faults.append(Fault("ImageSets/Main", None, "annotation", message))
            elif name in found and found[name].split != split:
                message = (
                    f'ImageSets/Main lists "{name}" for {found[name].split} and for {split}; an image has one split.'
                )
                faults.append(Fault("ImageSets/Main", None, "split", message))
            else:
                found[name] = _Document(
                    document.file, document.image, document.width, document.height, document.objects, split
                )
    if len(by_stem) > len(found):
        notices.append(
            f"{len(by_stem) - len(found)} annotated images are in no list of ImageSets/Main and are left out."
        )
    return [found[name] for name in sorted(found)]


def _labelled(folder: Path, document: _Document, label_map: LabelMap, faults: list[Fault]) -> LabelledImage:
    boxes = []
    for number, item in enumerate(document.objects):
        label = label_map.ids.get(item.name)
        if label is None:
            known = ", ".join(label_map.names.values())
            message = (
                f'{document.file}: object {number} has the unknown class "{item.name}"; the label map has: {known}.'
            )
            faults.append(Fault(document.file, f"object {number}", "class", message))
            continue
        place = f"object {number}"
        boxes.append(Box(*item.edges, label, item.name, place, difficult=item.difficult, truncated=item.truncated))
    image = document.image.relative_to(folder).as_posix()
    return LabelledImage(
        source_id=image,
        image=image,
        annotation=document.file,
        encoded=Encoded(document.image),
        boxes=tuple(boxes),
        width=document.width,
        height=document.height,
        given_split=document.split,
    )
