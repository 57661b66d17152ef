# SPDX-License-Identifier: Apache-2.0
"""Input size and anchors that follow the data: box shapes and a config in, the config that is trained and why out.

Other anchors cost nothing, a larger input costs in proportion to its pixels: so anchors move first, and the input grows
only while some class's boxes are out of their reach. How many anchors stand at a cell never changes, so that weights
of a box head still fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training_src.models.anchor_overlaps import Anchors, BoxArrays, anchors_of, best_overlaps
from training_src.models.box_shapes import BoxShapes, side
from training_src.models.config.decoding import decode, message_of
from training_src.models.config.pipeline import PipelineConfig, PipelineDescription, load_bundled
from training_src.models.training_memory import Footprint, bundled_footprint
from training_src.models.zoo import zoo_model
from training_src.text_format import Message, parse

# Sides of an input, in pixels. Pyramids halve it five times.
SIZES = (160, 224, 320, 416, 512, 640)
# Of each class's boxes: for so many an anchor is wanted that overlaps enough where it stands, and anchors move for it.
WANTED = 0.95
# Where so many have one, more of them are not worth more pixels: force_match_for_each_row gives the others their best.
ENOUGH = 2 / 3
# What is better by less is neither worth more pixels nor other anchors than the config's.
_SAME = 0.02
# Fewer boxes of a class do not decide, where another has more: one that is labelled wrongly would.
FEWEST_BOXES = 20
# Places in an image at which a box is tried, spread evenly by
# https://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences/
_PLACES = 48
_PLACE_STEPS = (0.7548776662466927, 0.5698402909980532)

# What is tried. RetinaNet's smallest anchor is 4 strides wide (https://arxiv.org/abs/1708.02002, section 4); SSD's
# scales are shares of the image (https://arxiv.org/abs/1512.02325, section 2.2).
_ANCHOR_SCALES = tuple(float(f"{2 ** (step / 4):.4g}") for step in range(-3, 17))
_MIN_SCALES = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28)
_MAX_SCALES = (0.6, 0.95)
_BASES = (0.5, 0.7, 1.0)
_USUAL_RATIOS = {3: (1.0, 2.0, 0.5), 5: (1.0, 2.0, 0.5, 3.0, 0.3333)}

Fields = Mapping[str, float | tuple[float, ...]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reach:
    """What anchors reach of each class's boxes.

    Attributes:
        shares: Shape `(C,)`: of the class's boxes those that have an anchor of at least `matched_threshold` IoU.
        overlaps: Shape `(C,)`: the mean of its boxes' best IoU.
    """

    shares: Floats
    overlaps: Floats

    @property
    def worst(self) -> float:
        """The share of the class that has the least."""
        return float(self.shares.min())

    @property
    def merit(self) -> float:
        """What anchors are chosen by: the worst class counts as much as the mean of all."""
        return _merit(self.shares)


class FittedInput(NamedTuple):
    """What the data decide.

    Attributes:
        description: With the chosen size and anchors.
        sentences: What was chosen, and why.
    """

    description: PipelineDescription
    sentences: Sequence[str]


@dataclass(frozen=True, eq=False)
class _Choice:
    """An input's side in pixels, and the anchor generator's fields that change."""

    size: int
    fields: Fields
    reach: Reach


def decided_by_data(description: PipelineDescription, shapes: BoxShapes | None) -> FittedInput:
    """A bundled description as the data decide it: unchanged where its architecture does not follow the data.

    Args:
        description: A bundled one.
        shapes: Of the boxes to train on; None where they are not known.
    """
    if not zoo_model(description.source).follows_data:
        return FittedInput(description, ())
    if shapes is None:
        unknown = "input and anchors stay the config's own: dataset.json has no box_shapes; prepare the data set again"
        return FittedInput(description, (unknown,))
    return fit_input(description, shapes)


def fit_input(description: PipelineDescription, shapes: BoxShapes) -> FittedInput:
    """Choose the input's size and the anchors of a single-shot detector.

    The smallest input is taken whose anchors, moved as they fit best, reach every class, and where none has such, the
    smallest whose anchors overlap as well as any's.

    Args:
        description: Of a detector whose images are resized to one square, with multiscale or SSD anchors.
        shapes: Of the boxes to train on.
    """
    boxes = _Boxes.of(shapes)
    tried: list[_Choice] = []
    for size in _sizes(description, shapes):
        tried.append(_best_at(description, size, boxes))
        if tried[-1].reach.worst >= ENOUGH:
            break
    chosen = tried[-1]
    if chosen.reach.worst < ENOUGH:
        wanted = (1 - _SAME) * max(choice.reach.overlaps.min() for choice in tried)
        chosen = next(choice for choice in tried if choice.reach.overlaps.min() >= wanted)
    fitted = _written(description, chosen)
    return FittedInput(fitted, tuple(_sentences(description, fitted, chosen.reach, boxes.names)))


def with_input_of(description: PipelineDescription, other: PipelineDescription) -> PipelineDescription | None:
    """A description with the input's size and the anchors of another; None where it is no config of the same detector.

    It is of the same detector if all else that decides the shapes of weights and what a box head's numbers mean is
    equal: feature extractor, box coder, and what kind of anchors there are. An input that follows the image's size has
    no anchors that could be compared.
    """
    alike = _decided_alike(description)
    if alike is None or alike != _decided_alike(other) or anchors_of(other) is None:
        return None
    message = parse(description.text())
    into, source = (message_of(message_of(one, "model"), "ssd") for one in (message, other.message))
    for name in ("image_resizer", "anchor_generator"):
        into[name] = source[name]
    return replace(description, config=decode(PipelineConfig, message), message=message)


def recorded_footprint(description: PipelineDescription) -> Footprint:
    """What a bundled architecture's training takes, with the input's size that the description has."""
    recorded = bundled_footprint(description.source)
    if not zoo_model(description.source).follows_data:
        return recorded
    own = load_bundled(description.source, num_classes=1)
    return recorded.of_pixels(math.prod(input_size(description)) / math.prod(input_size(own)))


def input_size(description: PipelineDescription) -> tuple[int, int]:
    """Height and width of the network's input in pixels, the greatest where images keep their aspect ratio."""
    anchors = anchors_of(description)
    assert anchors is not None  # an input that the data or a checkpoint decided does not follow the image's size
    return anchors.height, anchors.width


def input_side(description: PipelineDescription) -> int:
    """The side of a square input, in pixels."""
    resizer = description.config.model.family.image_resizer.fixed_shape_resizer
    assert resizer is not None and resizer.height == resizer.width  # whose input follows the data has a square one
    return resizer.height


def _decided_alike(description: PipelineDescription) -> tuple[object, ...] | None:
    ssd = description.config.model.ssd
    if ssd is None:
        return None
    generator = ssd.anchor_generator
    multiscale, layers = generator.multiscale_anchor_generator, generator.ssd_anchor_generator
    kind: tuple[object, ...] = ()
    if multiscale:
        levels = (multiscale.min_level, multiscale.max_level)
        kind = (*levels, len(multiscale.aspect_ratios), multiscale.scales_per_octave)
    if layers:
        kind = (layers.num_layers, len(layers.aspect_ratios), layers.reduce_boxes_in_lowest_layer)
    extractor = ssd.feature_extractor
    return extractor.type, extractor.depth_multiplier, extractor.fpn, kind, ssd.box_coder


@dataclass(frozen=True)
class _Boxes:
    """The cells of a histogram, each as a box in an image of one pixel.

    Attributes:
        names: Classes that decide.
        cells: A box a cell, in the middle of its image.
        placed: The same, `_PLACES` times each, at places where a box of that size may lie.
        shares: Shape `(C, cells)`: of the class's boxes.
    """

    names: tuple[str, ...]
    cells: BoxArrays
    placed: BoxArrays
    shares: Floats

    @classmethod
    def of(cls, shapes: BoxShapes) -> _Boxes:
        totals = {name: sum(cells.values()) for name, cells in shapes.counts.items()}
        fewest = min(FEWEST_BOXES, max(totals.values()))
        names = tuple(name for name, total in totals.items() if total >= max(fewest, 1))
        cells = sorted({cell for name in names for cell in shapes.counts[name]})
        sides = np.array([(side(width), side(height)) for width, height in cells])
        shares = np.array([[shapes.counts[name].get(cell, 0) / totals[name] for cell in cells] for name in names])
        places = np.arange(1, _PLACES + 1)[:, None] * np.array(_PLACE_STEPS) % 1
        centres = sides[:, None] / 2 + places[None] * (1 - sides[:, None])
        every = np.repeat(sides, _PLACES, axis=0)
        return cls(names, _boxes(sides, np.full_like(sides, 0.5)), _boxes(every, centres.reshape(-1, 2)), shares)

    def reach(self, anchors: Anchors) -> Reach:
        """What anchors reach of them where they stand."""
        _, here, _ = best_overlaps(self.placed, anchors)
        near = (here >= anchors.threshold).reshape(-1, _PLACES).mean(axis=1)
        best = here.reshape(-1, _PLACES).mean(axis=1)
        return Reach(self.shares @ near, self.shares @ best)

    def most(self, anchors: Anchors) -> float:
        """What no merit of these anchors exceeds: that of anchors which stand right on each box."""
        ever, _, _ = best_overlaps(self.cells, anchors)
        return _merit(self.shares @ (ever >= anchors.threshold))

    def ratios(self, parts: Sequence[float]) -> tuple[float, ...]:
        """Quantiles of width / height, every class counting as much."""
        ratios = self.cells.width / self.cells.height
        order = np.argsort(ratios, kind="stable")
        passed = np.cumsum(self.shares.mean(axis=0)[order])
        at = np.minimum(np.searchsorted(passed, parts), len(order) - 1)
        return tuple(float(f"{ratio:.3g}") for ratio in ratios[order][at])


def _boxes(sides: Floats, centres: Floats) -> BoxArrays:
    count = len(sides)
    ones, zeros = np.ones(count, np.float32), np.zeros(count, np.int64)
    columns = (column.astype(np.float32) for column in (*sides.T, *centres.T))
    width, height, centre_x, centre_y = columns
    return BoxArrays(width, height, ones, ones, centre_x, centre_y, zeros, zeros)


def _sizes(description: PipelineDescription, shapes: BoxShapes) -> list[int]:
    """The config's own, and larger ones, as far as the images have so many pixels."""
    own = input_side(description)
    return [own, *(size for size in SIZES if own < size <= shapes.longer_side)]


def _best_at(description: PipelineDescription, size: int, boxes: _Boxes) -> _Choice:
    """The config's own anchors where others are not better by much, else those that fit best."""
    own = _Choice(size, {}, boxes.reach(_anchors(description, size, {})))
    if own.reach.worst >= WANTED:
        return own
    candidates = [(fields, _anchors(description, size, fields)) for fields in _candidates(description, boxes)]
    bounded = sorted(((boxes.most(anchors), place) for place, (_, anchors) in enumerate(candidates)), reverse=True)
    choices: list[_Choice] = []
    best = 0.0
    for bound, place in bounded:
        if bound < best - _SAME:
            break
        fields, anchors = candidates[place]
        choices.append(_Choice(size, fields, boxes.reach(anchors)))
        best = max(best, choices[-1].reach.merit)
    alike = [choice for choice in (own, *choices) if choice.reach.merit >= best - _SAME]
    if any(choice.reach.worst >= ENOUGH for choice in alike):
        alike = [choice for choice in alike if choice.reach.worst >= ENOUGH]
    closest = max(alike, key=lambda choice: choice.reach.overlaps.mean())
    near = closest.reach.overlaps.mean() - own.reach.overlaps.mean() <= _SAME
    return own if own in alike and (near or own.reach.worst >= ENOUGH) else closest


def _merit(shares: Floats) -> float:
    capped = np.minimum(shares, WANTED)
    return float(capped.min() + capped.mean()) / 2


def _candidates(description: PipelineDescription, boxes: _Boxes) -> Iterator[Fields]:
    """Settings of the anchor generator, none of which depends on those that the description has."""
    ssd = description.config.model.ssd
    assert ssd is not None  # only single-shot detectors follow the data
    multiscale, layers = ssd.anchor_generator.multiscale_anchor_generator, ssd.anchor_generator.ssd_anchor_generator
    if multiscale:
        for ratios, scale in product(_ratios(boxes, len(multiscale.aspect_ratios)), _ANCHOR_SCALES):
            yield {"aspect_ratios": ratios, "anchor_scale": scale}
        return
    assert layers is not None  # a single-shot detector has no third kind
    every = product(_ratios(boxes, len(layers.aspect_ratios)), _MIN_SCALES, _MAX_SCALES, _BASES)
    for ratios, least, greatest, base in every:
        scales = {"min_scale": least, "max_scale": greatest}
        yield {"aspect_ratios": ratios, **scales, "base_anchor_height": base, "base_anchor_width": base}


def _ratios(boxes: _Boxes, count: int) -> list[tuple[float, ...]]:
    """So many aspect ratios: the middles of equal parts of the boxes, those spread to the rims, and the papers'."""
    middles = boxes.ratios([(place + 0.5) / count for place in range(count)])
    spread = boxes.ratios([0.05 + 0.9 * place / max(count - 1, 1) for place in range(count)])
    usual = [_USUAL_RATIOS[count]] if count in _USUAL_RATIOS else []
    return [*dict.fromkeys([*usual, middles, spread])]


def _anchors(description: PipelineDescription, size: int, fields: Fields) -> Anchors:
    """Those of the description with another input size, and fields of its anchor generator."""
    ssd = description.config.model.ssd
    assert ssd is not None  # only single-shot detectors follow the data
    generator, resizer = ssd.anchor_generator, ssd.image_resizer
    assert resizer.fixed_shape_resizer is not None  # whose input follows the data has one size
    multiscale, layers = generator.multiscale_anchor_generator, generator.ssd_anchor_generator
    # The fields are those of whichever is there; written into the message they are checked.
    multiscale = multiscale and replace(multiscale, **fields)  # type: ignore[arg-type]
    layers = layers and replace(layers, **fields)  # type: ignore[arg-type]
    generator = replace(generator, multiscale_anchor_generator=multiscale, ssd_anchor_generator=layers)
    fixed = replace(resizer.fixed_shape_resizer, height=size, width=size)
    ssd = replace(ssd, anchor_generator=generator, image_resizer=replace(resizer, fixed_shape_resizer=fixed))
    model = replace(description.config.model, ssd=ssd)
    anchors = anchors_of(replace(description, config=replace(description.config, model=model)))
    assert anchors is not None  # the input has one size
    return anchors


def _written(description: PipelineDescription, chosen: _Choice) -> PipelineDescription:
    """The description with what was chosen."""
    if chosen.size == input_side(description) and not chosen.fields:
        return description
    message = parse(description.text())
    ssd = message_of(message_of(message, "model"), "ssd")
    resizer = message_of(message_of(ssd, "image_resizer"), "fixed_shape_resizer")
    resizer["height"], resizer["width"] = [chosen.size], [chosen.size]
    generator = _generator(ssd)
    for name, value in chosen.fields.items():
        generator[name] = [*value] if isinstance(value, tuple) else [value]
    return replace(description, config=decode(PipelineConfig, message), message=message)


def _generator(ssd: Message) -> Message:
    generators = message_of(ssd, "anchor_generator")
    (kind,) = generators
    return message_of(generators, kind)


def _sentences(
    before: PipelineDescription, after: PipelineDescription, reach: Reach, names: Sequence[str]
) -> Iterator[str]:
    old, new = input_side(before), input_side(after)
    worst = int(np.argmin(reach.shares))
    yield f"input {new}x{new}" + (", the config's own" if new == old else f" instead of {old}x{old}")
    told = ", ".join(_changes(before, after)) or "the config's own"
    least = f"{100 * reach.shares[worst]:.0f} % ({names[worst]})"
    yield f"anchors {told}; of each class's boxes at least {least} have one that overlaps enough where it stands"


def _changes(before: PipelineDescription, after: PipelineDescription) -> list[str]:
    old, new = (vars(_typed_generator(one)) for one in (before, after))
    return [f"{name} {_shown(value)}" for name, value in new.items() if value != old[name]]


def _typed_generator(description: PipelineDescription) -> object:
    ssd = description.config.model.ssd
    assert ssd is not None  # only single-shot detectors follow the data
    generator = ssd.anchor_generator
    return generator.multiscale_anchor_generator or generator.ssd_anchor_generator


def _shown(value: float | tuple[float, ...]) -> str:
    return " ".join(f"{one:g}" for one in (value if isinstance(value, tuple) else (value,)))
