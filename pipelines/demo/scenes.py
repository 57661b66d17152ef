# SPDX-License-Identifier: Apache-2.0
"""The demo's data set: street scenes drawn from a seed, labelled in Pascal VOC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np

from pipelines.demo.drawing import Canvas, Figure, Image, extent
from pipelines.demo.road_users import CLASS_IDS, draw_road_user
from pipelines.demo.street import (
    COLOURS,
    TEST_TOWN,
    TRAINING_TOWN,
    Street,
    Style,
    View,
    draw_street,
    draw_view,
    furnished,
)

# Heights of objects as shares of the image's height.
SMALLEST, LARGEST = 0.08, 0.6
# How often a scene gets a further object behind the last one: chosen so that a fifth of all objects is overlapped.
OVERLAP_RATE = 0.4


@dataclass(frozen=True)
class DrawnBox:
    """An object's class and its edges in whole pixels; `overlapped` when a nearer object covers part of it."""

    name: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int
    overlapped: bool = False


@dataclass(frozen=True)
class Scene:
    """An image, uint8 [height, width, 3] in blue-green-red, and the objects in it."""

    image: Image
    boxes: tuple[DrawnBox, ...]


def draw_scenes(
    destination: Path,
    *,
    seed: int = 7,
    train: int = 800,
    validation: int = 60,
    test: int = 120,
    size: tuple[int, int] = (320, 240),
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw a data set: JPEGImages, Annotations, ImageSets/Main/{train,val,test}.txt and label_map.pbtxt.

    The same arguments give the same files. Test scenes show another town than training and validation: other
    skies, façades, windows and roads.

    Args:
        destination: Folder to make.
        seed: Of everything that is random.
        train, validation, test: Numbers of images.
        size: Width and height in pixels.
        progress: Called with the number of images drawn and their total.
    """
    images, annotations, lists = (destination / name for name in ("JPEGImages", "Annotations", "ImageSets/Main"))
    for folder in (images, annotations, lists):
        folder.mkdir(parents=True, exist_ok=True)
    total, done = train + validation + test, 0
    for split, (name, count) in enumerate((("train", train), ("val", validation), ("test", test))):
        style = TEST_TOWN if name == "test" else TRAINING_TOWN
        stems = [f"{name}_{index:05d}" for index in range(count)]
        for index, stem in enumerate(stems):
            scene = draw_scene(np.random.default_rng([seed, split, index]), style, size)
            cv2.imwrite(str(images / f"{stem}.jpg"), scene.image, [cv2.IMWRITE_JPEG_QUALITY, 92])
            (annotations / f"{stem}.xml").write_text(_voc(f"{stem}.jpg", scene, size))
            done += 1
            if progress:
                progress(done, total)
        (lists / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    items = (f"item {{\n  id: {number}\n  name: '{name}'\n}}\n" for name, number in CLASS_IDS.items())
    (destination / "label_map.pbtxt").write_text("".join(items))


def draw_scene(rng: np.random.Generator, style: Style, size: tuple[int, int]) -> Scene:
    """One street with its clutter and one to six objects, painted from far to near."""
    width, height = size
    view = draw_view(rng, width, height)
    canvas = Canvas(width, height)
    street = draw_street(canvas, view, style, rng)
    cast = _cast(rng, view, street)
    standing = [(z, (x, figure)) for x, z, figure in furnished(rng, style, street, int(rng.integers(4, 10)))]
    standing = [(z, thing) for z, thing in standing if not _hides(view, thing, z, cast)]
    standing += [(actor.z, (actor.x, actor.figure)) for actor in cast]
    for z, (x, figure) in sorted(standing, key=lambda item: -item[0]):
        foot, scale = view.project(x, 0, z), view.scale(z)
        left, _, right, _ = extent(figure)
        canvas.shade(
            (foot[0] + (left + right) / 2 * scale, foot[1]), ((right - left) * 0.52 * scale, 0.12 * scale), 0.35
        )
        canvas.figure(figure, foot, scale)
    image = _photographed(canvas.finished(), rng)
    return Scene(image, tuple(actor.drawn(cast) for actor in cast))


@dataclass(frozen=True)
class _Actor:
    name: str
    figure: Figure
    x: float
    z: float
    box: tuple[float, float, float, float]  # xmin, ymin, xmax, ymax in pixels

    def drawn(self, cast: list[_Actor]) -> DrawnBox:
        xmin, ymin, xmax, ymax = (round(edge) for edge in self.box)
        covered = any(other.z < self.z and _overlap(self.box, other.box) >= 0.05 for other in cast)
        return DrawnBox(self.name, xmin, ymin, xmax, ymax, covered)


def _cast(rng: np.random.Generator, view: View, street: Street) -> list[_Actor]:
    """Choose objects, then places for them, so that overlaps happen on purpose only and hide less than half."""
    cast: list[_Actor] = []
    for _ in range(int(rng.integers(2, 7))):
        name = str(rng.choice(list(CLASS_IDS)))
        figure = draw_road_user(name, rng, COLOURS)
        tall = float(rng.triangular(SMALLEST + 0.005, 0.16, LARGEST - 0.005)) * view.height
        partner = cast[-1] if cast and rng.random() < OVERLAP_RATE else None
        for _ in range(30):
            actor = _placed(name, figure, tall, (rng, view, street), partner)
            if actor and _fits(actor, cast, partner):
                cast.append(actor)
                break
    return cast


def _placed(
    name: str,
    figure: Figure,
    tall: float,
    surroundings: tuple[np.random.Generator, View, Street],
    partner: _Actor | None,
) -> _Actor | None:
    """Stand a figure of a given height in pixels somewhere on the street, or at an edge of its partner."""
    rng, view, street = surroundings
    left, bottom, right, top = extent(figure)
    z = view.distance(top - bottom, tall)
    scale = view.scale(z)
    reach = street.road - 0.6 if name == "vehicle" else street.wall - 0.5
    lowest = max(-reach, -view.centre / scale - left)
    highest = min(reach, (view.width - view.centre) / scale - right)
    if lowest >= highest:
        return None
    x = float(rng.uniform(lowest, highest))
    if partner:
        edge = partner.box[0] if rng.random() < 0.5 else partner.box[2]
        broad = partner.box[2] - partner.box[0]
        x = (edge + float(rng.uniform(-0.3, 0.3)) * broad - view.centre) / scale
    foot = view.project(x, 0, z)
    box = (foot[0] + left * scale, foot[1] - top * scale, foot[0] + right * scale, foot[1] - bottom * scale)
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= view.width and box[3] <= view.height
    return _Actor(name, figure, x, z, box) if inside else None


def _fits(actor: _Actor, cast: list[_Actor], partner: _Actor | None) -> bool:
    for other in cast:
        nearer, farther = (actor, other) if actor.z < other.z else (other, actor)
        hidden = _overlap(farther.box, nearer.box)
        if other is partner and not 0.08 <= hidden <= 0.4:
            return False
        if other is not partner and hidden > 0.0:
            return False
    return True


def _overlap(box: tuple[float, float, float, float], cover: tuple[float, float, float, float]) -> float:
    """Share of a box that another covers."""
    broad = min(box[2], cover[2]) - max(box[0], cover[0])
    tall = min(box[3], cover[3]) - max(box[1], cover[1])
    return max(0.0, broad) * max(0.0, tall) / ((box[2] - box[0]) * (box[3] - box[1]))


def _hides(view: View, thing: tuple[float, Figure], z: float, cast: list[_Actor]) -> bool:
    """Whether a piece of clutter would cover more than a sixth of an object behind it."""
    x, figure = thing
    left, bottom, right, top = extent(figure)
    foot, scale = view.project(x, 0, z), view.scale(z)
    cover = (foot[0] + left * scale, foot[1] - top * scale, foot[0] + right * scale, foot[1] - bottom * scale)
    return any(z < actor.z and _overlap(actor.box, cover) > 0.16 for actor in cast)


def _photographed(image: Image, rng: np.random.Generator) -> Image:
    """Exposure, a tint and the sensor's grain."""
    gains = rng.uniform(0.82, 1.12) * rng.uniform(0.96, 1.04, 3)
    curves = np.clip(np.arange(256)[None, :, None] * gains, 0, 255).astype(np.uint8)
    grain = rng.integers(-6, 7, image.shape, dtype=np.int8)
    return np.asarray(cv2.add(cv2.LUT(image, curves), grain, dtype=cv2.CV_8U), dtype=np.uint8)


def _voc(filename: str, scene: Scene, size: tuple[int, int]) -> str:
    return _ANNOTATION.format(
        filename=escape(filename),
        width=size[0],
        height=size[1],
        objects="".join(_OBJECT.format(box=box, occluded=int(box.overlapped)) for box in scene.boxes),
    )


_ANNOTATION = """<annotation>
  <filename>{filename}</filename>
  <size>
    <width>{width}</width>
    <height>{height}</height>
    <depth>3</depth>
  </size>
  <segmented>0</segmented>
{objects}</annotation>
"""
_OBJECT = """  <object>
    <name>{box.name}</name>
    <pose>Unspecified</pose>
    <truncated>0</truncated>
    <occluded>{occluded}</occluded>
    <difficult>0</difficult>
    <bndbox>
      <xmin>{box.xmin}</xmin>
      <ymin>{box.ymin}</ymin>
      <xmax>{box.xmax}</xmax>
      <ymax>{box.ymax}</ymax>
    </bndbox>
  </object>
"""
