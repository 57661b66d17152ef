# SPDX-License-Identifier: Apache-2.0
"""Streets to stand in: a perspective view of road, kerbs, pavements, façades and sky, and the clutter along them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipelines.demo.drawing import Canvas, Colour, Figure, Part, Point, mixed, shaded

# Paint, cloth, plaster and street furniture come in the same colours (blue, green, red): colour tells nothing.
COLOURS: tuple[Colour, ...] = (
    (58, 62, 176), (70, 112, 196), (86, 170, 214), (96, 132, 92), (64, 96, 58), (168, 120, 66), (134, 84, 52),
    (196, 170, 130), (112, 84, 128), (92, 92, 98), (150, 152, 156), (208, 210, 212), (52, 50, 56), (78, 94, 124),
    (132, 158, 186), (126, 148, 74),
)  # fmt: skip


class Patch(Protocol):
    """Paints a rectangle of a wall: from `start` to `end` along the street, in metres."""

    def __call__(self, start: float, bottom: float, end: float, top: float, colour: Colour) -> None: ...


@dataclass(frozen=True)
class Style:
    """What the streets of a town have in common; training and test know different towns.

    Attributes:
        skies: Pairs of the colours overhead and at the horizon.
        facades: Indices into `COLOURS`.
        windows: Kinds of window, see `_window`.
        roads: Asphalt or stone.
        greens: Tree crowns.
        gables: Whether roofs are pitched.
        markings: Whether the road has a dashed middle line.
    """

    skies: tuple[tuple[Colour, Colour], ...]
    facades: tuple[int, ...]
    windows: tuple[str, ...]
    roads: tuple[Colour, ...]
    greens: tuple[Colour, ...]
    gables: bool
    markings: bool


TRAINING_TOWN = Style(
    skies=(((206, 158, 104), (240, 226, 206)), ((188, 178, 166), (222, 218, 212)), ((224, 186, 140), (236, 232, 226))),
    facades=(0, 1, 2, 7, 10, 13, 14, 9),
    windows=("grid", "tall", "shop"),
    roads=((84, 82, 80), (98, 94, 92), (110, 110, 112)),
    greens=((58, 112, 72), (72, 132, 96), (48, 92, 62)),
    gables=False,
    markings=True,
)
TEST_TOWN = Style(
    skies=(((150, 116, 134), (150, 190, 238)), ((168, 150, 92), (214, 220, 190)), ((120, 104, 96), (176, 178, 190))),
    facades=(3, 5, 6, 8, 11, 15, 4, 12),
    windows=("arched", "ribbon", "balcony"),
    roads=((116, 108, 98), (92, 98, 108), (128, 128, 126)),
    greens=((46, 100, 108), (44, 118, 142), (64, 86, 52)),
    gables=True,
    markings=False,
)


@dataclass(frozen=True)
class View:
    """A pinhole camera that looks along the street. X to the right, Y up, Z ahead, in metres.

    Attributes:
        width, height: Of the image, pixels.
        horizon: Y of the horizon, pixels.
        centre: X of the vanishing point, pixels.
        focal: Focal length, pixels.
        eye: Height of the camera above the road, metres.
    """

    width: int
    height: int
    horizon: float
    centre: float
    focal: float
    eye: float

    def project(self, x: float, y: float, z: float) -> Point:
        """Where a point of the street is seen, in pixels."""
        return self.centre + self.focal * x / z, self.horizon + self.focal * (self.eye - y) / z

    def scale(self, z: float) -> float:
        """Pixels a metre at a distance."""
        return self.focal / z

    def distance(self, metres: float, pixels: float) -> float:
        """How far away something so many metres tall is so many pixels tall."""
        return self.focal * metres / pixels


@dataclass(frozen=True)
class Street:
    """The road's half width and the pavements' width in metres."""

    road: float
    pavement: float

    @property
    def wall(self) -> float:
        """Where the façades stand, metres from the middle."""
        return self.road + self.pavement


def draw_view(rng: np.random.Generator, width: int, height: int) -> View:
    """A camera somewhere on the road, level, at about the height of a driver's or walker's eyes."""
    return View(
        width,
        height,
        horizon=height * float(rng.uniform(0.36, 0.46)),
        centre=width * float(rng.uniform(0.38, 0.62)),
        focal=height * float(rng.uniform(0.95, 1.2)),
        eye=float(rng.uniform(1.45, 1.9)),
    )


def draw_street(canvas: Canvas, view: View, style: Style, rng: np.random.Generator) -> Street:
    """Paint everything that is not an object: sky, skyline, façades, pavements, road and its markings."""
    street = Street(float(rng.uniform(4.0, 6.5)), float(rng.uniform(2.2, 4.0)))
    _sky(canvas, view, style, rng)
    _ground(canvas, view, style, street, rng)
    _skyline(canvas, view, style, rng)
    for side in (-1, 1):
        _row_of_houses(canvas, view, style, street, side, rng)
    return street


def furnished(
    rng: np.random.Generator, style: Style, street: Street, count: int
) -> Sequence[tuple[float, float, Figure]]:
    """Clutter with its places: x and z in metres, on the pavements."""
    return [
        (
            float(rng.choice([-1, 1])) * float(rng.uniform(street.road + 0.5, street.wall - 0.3)),
            float(rng.uniform(5, 38)),
            draw_clutter(rng, style),
        )
        for _ in range(count)
    ]


def draw_clutter(rng: np.random.Generator, style: Style) -> Figure:
    """One thing that stands on a pavement and is no object: a tree, lamp, sign, bin, meter, post or hoarding."""
    paint = _tinted(rng, COLOURS[int(rng.integers(len(COLOURS)))])
    second = _tinted(rng, COLOURS[int(rng.integers(len(COLOURS)))])
    steel: Colour = (88, 88, 92)
    kind = rng.choice(
        ["tree", "lamp", "sign", "bin", "meter", "post", "hoarding", "box"],
        p=[0.3, 0.14, 0.16, 0.12, 0.06, 0.06, 0.08, 0.08],
    )
    if kind == "tree":
        return _tree(rng, style)
    if kind == "lamp":
        return [
            Part(((0, 0), (0, 5.2), (0.9, 5.5)), steel, thickness=0.12),
            Part(((0.7, 5.5), (1.3, 5.5)), (200, 226, 236), thickness=0.18),
        ]
    if kind == "sign":
        face = Part(((0, 2.3),), paint, radius=0.34)
        inner = Part(((0, 2.3),), (232, 232, 232), radius=0.2)
        board = _rectangle(-0.45, 2.0, 0.45, 2.6, paint)
        triangle = Part(((-0.42, 1.95), (0.42, 1.95), (0.0, 2.7)), paint)
        heads = ([face, inner], [board, _rectangle(-0.3, 2.22, 0.3, 2.36, (232, 232, 232))], [triangle])
        return [Part(((0, 0), (0, 2.1)), steel, thickness=0.09), *heads[int(rng.integers(3))]]
    if kind == "bin":
        return [
            Part(((-0.26, 0.08), (0.26, 0.08), (0.33, 0.95), (-0.33, 0.95)), paint),
            _rectangle(-0.37, 0.95, 0.37, 1.08, shaded(paint, 0.7)),
            _rectangle(-0.26, 0.0, -0.1, 0.1, (40, 40, 40)),
        ]
    if kind == "meter":
        return [Part(((0, 0), (0, 1.1)), steel, thickness=0.09), _rectangle(-0.14, 1.0, 0.14, 1.5, paint)]
    if kind == "post":
        return [_rectangle(-0.11, 0, 0.11, 0.95, paint), _rectangle(-0.13, 0.7, 0.13, 0.82, (226, 226, 226))]
    if kind == "hoarding":
        return [
            Part(((-0.9, 0), (-0.9, 1.0)), steel, thickness=0.1),
            Part(((0.9, 0), (0.9, 1.0)), steel, thickness=0.1),
            _rectangle(-1.2, 0.8, 1.2, 2.5, paint),
            _rectangle(-1.0, 1.0, 1.0, 2.3, second),
            Part(((float(rng.uniform(-0.5, 0.5)), 1.6),), paint, radius=0.45),
        ]
    return [
        _rectangle(-0.6, 0, 0.6, 1.25, paint),
        _rectangle(-0.5, 0.15, -0.04, 1.1, shaded(paint, 0.85)),
        _rectangle(0.04, 0.15, 0.5, 1.1, shaded(paint, 0.85)),
    ]


def _tree(rng: np.random.Generator, style: Style) -> Figure:
    green = _tinted(rng, style.greens[int(rng.integers(len(style.greens)))])
    bark: Colour = (58, 78, 98)
    trunk = float(rng.uniform(1.6, 2.6))
    crown = [
        Part(
            ((float(rng.uniform(-0.7, 0.7)), trunk + float(rng.uniform(0.3, 1.9))),),
            shaded(green, float(shade)),
            radius=float(rng.uniform(0.6, 1.0)),
        )
        for shade in np.linspace(0.72, 1.15, 7)
    ]
    return [Part(((0, 0), (0, trunk + 0.8)), bark, thickness=0.26), *crown]


def _rectangle(left: float, bottom: float, right: float, top: float, colour: Colour) -> Part:
    return Part(((left, bottom), (right, bottom), (right, top), (left, top)), colour)


def _tinted(rng: np.random.Generator, colour: Colour) -> Colour:
    return shaded(colour, float(rng.uniform(0.75, 1.2)))


def _sky(canvas: Canvas, view: View, style: Style, rng: np.random.Generator) -> None:
    overhead, low = style.skies[int(rng.integers(len(style.skies)))]
    bands = 24
    for band in range(bands):
        top, bottom = (view.horizon + 2) * band / bands, (view.horizon + 2) * (band + 1) / bands + 1
        canvas.polygon(
            ((0, top), (view.width, top), (view.width, bottom), (0, bottom)), mixed(overhead, low, band / (bands - 1))
        )
    for _ in range(int(rng.integers(0, 4))):
        x, y = float(rng.uniform(0, view.width)), float(rng.uniform(0, view.horizon * 0.6))
        for _ in range(4):
            centre = (x + float(rng.normal(0, 14)), y + float(rng.normal(0, 3)))
            canvas.disc(
                centre, (float(rng.uniform(10, 24)), float(rng.uniform(3, 6))), mixed(low, (250, 250, 250), 0.5)
            )


def _skyline(canvas: Canvas, view: View, style: Style, rng: np.random.Generator) -> None:
    x = -10.0
    while x < view.width:
        broad = float(rng.uniform(10, 34))
        top = view.horizon - float(rng.uniform(4, 30)) * view.height / 240
        haze = mixed(COLOURS[int(rng.choice(style.facades))], (216, 214, 212), 0.55)
        canvas.polygon(((x, view.horizon + 1), (x + broad, view.horizon + 1), (x + broad, top), (x, top)), haze)
        x += broad * float(rng.uniform(0.7, 1.0))


def _ground(canvas: Canvas, view: View, style: Style, street: Street, rng: np.random.Generator) -> None:
    far, near = 90.0, view.focal * view.eye / (view.height - view.horizon) * 0.9
    slab = mixed(style.roads[int(rng.integers(len(style.roads)))], (190, 196, 200), float(rng.uniform(0.35, 0.6)))
    tarmac = _tinted(rng, style.roads[int(rng.integers(len(style.roads)))])
    canvas.polygon(((0, view.horizon), (view.width, view.horizon), (view.width, view.height), (0, view.height)), slab)

    def strip(left: float, right: float, colour: Colour, start: float = near, end: float = far) -> None:
        canvas.polygon(
            (
                view.project(left, 0, start),
                view.project(right, 0, start),
                view.project(right, 0, end),
                view.project(left, 0, end),
            ),
            colour,
        )

    for metre in range(int(near), 40, 2):  # the joints between slabs
        left, right = view.project(-30, 0, max(near, metre)), view.project(30, 0, max(near, metre))
        canvas.line((left, right), shaded(slab, 0.93), 0.5)
    strip(-street.road, street.road, tarmac)
    for side in (-1, 1):
        edge = side * street.road
        strip(edge, edge + side * 0.25, shaded(slab, 1.12))
        strip(edge, edge - side * 0.08, shaded(tarmac, 0.7))
    if style.markings:
        for start in np.arange(near, 60, 5.0):
            strip(-0.08, 0.08, mixed(tarmac, (240, 240, 240), 0.75), float(start), float(start) + 2.4)
    else:
        for row in np.arange(near, 30, 1.1):  # cobbles: rows of darker joints
            canvas.line(
                (view.project(-street.road, 0, float(row)), view.project(street.road, 0, float(row))),
                shaded(tarmac, 0.92),
                0.5,
            )
    if rng.random() < 0.35:  # a zebra crossing
        start = float(rng.uniform(6, 16))
        for x in np.arange(-street.road + 0.4, street.road - 0.5, 1.0):
            strip(float(x), float(x) + 0.5, mixed(tarmac, (240, 240, 240), 0.7), start, start + 3)
    for _ in range(int(rng.integers(0, 4))):  # patches and manhole covers
        z = float(rng.uniform(near + 1, 25))
        centre = view.project(float(rng.uniform(-street.road, street.road)), 0, z)
        reach = float(rng.uniform(0.3, 0.9)) * view.scale(z)
        canvas.disc(centre, (reach, reach * 0.25), shaded(tarmac, float(rng.uniform(0.78, 0.92))))


def _row_of_houses(
    canvas: Canvas, view: View, style: Style, street: Street, side: int, rng: np.random.Generator
) -> None:
    """Houses along one side, the farthest first, each a wall along the street and a gable end that faces the camera."""
    edges = [2.0]
    while edges[-1] < 70:
        edges.append(edges[-1] + float(rng.uniform(6, 13)))
    for near, far in reversed(list(itertools.pairwise(edges))):
        if rng.random() < 0.08:
            continue  # a gap between the houses
        x = side * (street.wall + float(rng.uniform(0, 0.6)))
        tall = float(rng.uniform(6, 13))
        fog = min(0.5, near / 110)
        plaster = mixed(_tinted(rng, COLOURS[int(rng.choice(style.facades))]), (210, 206, 202), fog)
        _gable_end(canvas, view, style, (x, near, tall), side, plaster)
        _wall(canvas, view, style, (x, near, far, tall), shaded(plaster, 0.86), rng)


def _gable_end(
    canvas: Canvas, view: View, style: Style, corner: tuple[float, float, float], side: int, plaster: Colour
) -> None:
    x, z, tall = corner
    outer = x + side * 14
    outline = [view.project(x, 0, z), view.project(outer, 0, z), view.project(outer, tall, z)]
    if style.gables:
        outline.append(view.project((x + outer) / 2, tall + 4, z))
    canvas.polygon([*outline, view.project(x, tall, z)], plaster)


def _wall(
    canvas: Canvas,
    view: View,
    style: Style,
    place: tuple[float, float, float, float],
    plaster: Colour,
    rng: np.random.Generator,
) -> None:
    x, near, far, tall = place

    def patch(start: float, bottom: float, end: float, top: float, colour: Colour) -> None:
        corners = ((start, bottom), (end, bottom), (end, top), (start, top))
        canvas.polygon([view.project(x, y, z) for z, y in corners], colour)

    patch(near, 0, far, tall, plaster)
    patch(near, 0, far, 0.5, shaded(plaster, 0.8))
    patch(near, tall - 0.25, far, tall, shaded(plaster, 1.15))
    glass = mixed((92, 78, 66), plaster, 0.2)
    lit = _tinted(rng, COLOURS[int(rng.integers(len(COLOURS)))])
    kind = str(rng.choice(style.windows))
    step = {"ribbon": far - near - 0.6}.get(kind, float(rng.uniform(1.8, 2.6)))
    for z in np.arange(near + 0.4, far - min(1.2, step * 0.6), step):
        for storey in range(int((tall - 1.0) // 2.9)):
            opening = (float(z), 0.9 + storey * 2.9, float(z) + step * (0.94 if kind == "ribbon" else 0.52))
            _window(patch, kind, opening, storey, (glass, lit, plaster))


def _window(
    patch: Patch, kind: str, opening: tuple[float, float, float], storey: int, colours: tuple[Colour, Colour, Colour]
) -> None:
    start, bottom, end = opening
    glass, paint, plaster = colours
    if kind == "shop" and storey == 0:
        patch(start, bottom - 0.5, end + 0.5, bottom + 1.5, glass)
        patch(start - 0.2, bottom + 1.4, end + 0.7, bottom + 1.95, paint)
        return
    tall = {"tall": 1.9, "ribbon": 1.2}.get(kind, 1.45)
    if storey == 0 and kind in ("grid", "arched"):
        patch(start, 0, end, bottom + 1.4, paint)  # a door in someone's favourite colour
        return
    patch(start - 0.08, bottom - 0.1, end + 0.08, bottom + tall + 0.1, shaded(plaster, 1.2))
    patch(start, bottom, end, bottom + tall, glass)
    if kind == "arched":
        inset = (end - start) * 0.22
        patch(start + inset, bottom + tall, end - inset, bottom + tall + 0.28, glass)
    if kind == "balcony":
        patch(start - 0.25, bottom - 0.15, end + 0.25, bottom + 0.45, paint)
    if kind == "grid":
        middle = (start + end) / 2
        patch(middle - 0.04, bottom, middle + 0.04, bottom + tall, shaded(plaster, 1.2))
