# SPDX-License-Identifier: Apache-2.0
"""A contact sheet: each row an image as it is, and as training will see it, with its boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from containers.contract.files import write_whole
from containers.contract.orientation import UPRIGHT
from training_src.data.checks.orientation import DrawnOn, drawn_on, upright_annotation
from training_src.data.checks.policy import read_policy_of
from training_src.data.dataset import Entry, Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.images import BrokenImageError, decode_upright, read_header
from training_src.drawing import PALETTE, Mark, draw
from training_src.errors import ConfigurationError, DataError
from training_src.models.config.pipeline import PipelineConfig, bundled_architectures, load, load_bundled
from training_src.training.augmentation import Labelled, augmentation

Image = NDArray[np.uint8]

DEFAULT = "ssd_mobilenet_v2_fpnlite_640x640"
VARIANTS = 5
# A cell's side and the space around it, in pixels.
CELL, GAP = 280, 10
# Images that are looked at before some are drawn from them: the first ones of a huge data set will do.
_MOST_READ = 20_000


def preview(
    source: Path, output: Path, config: str = DEFAULT, count: int = 6, seed: int = 17, layout: str | None = None
) -> int:
    """Write the sheet; returns its number of rows.

    Raises:
        DataError: Nothing can be shown.
        ConfigurationError: The config or the output's name is wrong.
    """
    if output.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ConfigurationError(f"{output.name}: give the sheet a name that ends in .png or .jpg.")
    dataset = read_dataset(source, None, layout)
    names = dataset.label_map.names
    chosen = _choose(dataset.entries(), max(count, 1), seed)
    if not chosen:
        raise DataError(f"{source.name}: no image with a box was found; mapgate data check names what is wrong.")
    told = read_policy_of(source).orientation_boxes
    sheet = contact_sheet(chosen, names, _load(config, max(names, default=1), len(names)), seed, told)
    _write(output, sheet)
    return len(chosen)


def contact_sheet(
    images: Sequence[LabelledImage],
    names: Mapping[int, str],
    config: PipelineConfig,
    seed: int,
    orientation_boxes: DrawnOn | None = None,
) -> Image:
    """The sheet as pixels, RGB; images are upright, as training has them.

    Args:
        images: As they were read.
        names: Class names by label-map id.
        config: Its augmentation is shown.
        seed: Of the augmentation.
        orientation_boxes: See the data policy.

    Raises:
        DataError: An image cannot be decoded.
    """
    augment = augmentation(config.train_config.data_augmentation_options, seed)
    colours = {label: PALETTE[at % len(PALETTE)] for at, label in enumerate(sorted(names))}
    side = CELL + GAP
    sheet = np.full((len(images) * side + GAP, (VARIANTS + 1) * side + GAP, 3), 24, np.uint8)
    for row, image in enumerate(images):
        given = _labelled(image, orientation_boxes)
        variants = [augment(given, row * VARIANTS + number) for number in range(VARIANTS)]
        for column, shown in enumerate([given, *variants]):
            cell = draw(np.asarray(np.clip(shown.image, 0, 255), np.uint8), _marks(shown, names, colours), CELL)
            top = GAP + row * side + (CELL - cell.shape[0]) // 2
            left = GAP + column * side + (CELL - cell.shape[1]) // 2
            sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _choose(entries: Iterable[Entry], count: int, seed: int) -> list[LabelledImage]:
    """Some of the images with boxes, each as likely as any other, in the data set's order."""
    rng = np.random.default_rng(seed)
    kept: list[tuple[int, LabelledImage]] = []
    seen = 0
    for entry in entries:
        if isinstance(entry, Fault) or not entry.boxes:
            continue
        if len(kept) < count:
            kept.append((seen, entry))
        elif (place := int(rng.integers(seen + 1))) < count:
            kept[place] = (seen, entry)
        seen += 1
        if seen == _MOST_READ:
            break
    return [entry for _, entry in sorted(kept, key=lambda pair: pair[0])]


def _labelled(image: LabelledImage, told: DrawnOn | None) -> Labelled:
    encoded = image.encoded.load()
    try:
        pixels, facts = decode_upright(encoded), read_header(encoded)
    except BrokenImageError as error:
        raise DataError(f"{image.image} {error}; export it again, or remove it and its annotation.") from None
    if facts.orientation != UPRIGHT:
        image = upright_annotation(image, facts, drawn_on(image, facts, told)[0] or "upright")
    height, width = pixels.shape[:2]
    edges = np.array([[box.ymin, box.xmin, box.ymax, box.xmax] for box in image.boxes], np.float32).reshape(-1, 4)
    boxes = np.asarray(edges / np.array([height, width] * 2, np.float32), np.float32)
    labels = np.array([box.label for box in image.boxes], np.int32)
    return Labelled(pixels, boxes, labels, np.ones(len(labels), np.float32))


def _marks(shown: Labelled, names: Mapping[int, str], colours: Mapping[int, str]) -> list[Mark]:
    labels = shown.classes.tolist()
    return [
        Mark(box, names.get(label, str(label)), colours.get(label, PALETTE[0]))
        for box, label in zip(shown.boxes, labels, strict=True)
    ]


def _load(config: str, greatest_id: int, named: int) -> PipelineConfig:
    if config in bundled_architectures():
        return load_bundled(config, greatest_id).config
    if not Path(config).is_file():
        known = ", ".join(bundled_architectures())
        raise ConfigurationError(f"{config} is neither a file nor a bundled architecture; those are {known}.")
    return load(Path(config), greatest_id, named).config


def _write(output: Path, sheet: Image) -> None:
    done, data = cv2.imencode(output.suffix.lower(), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not done:
        raise DataError(f"{output.name}: the sheet of {sheet.shape[1]} x {sheet.shape[0]} pixels is too large.")
    write_whole(output, data.tobytes())
