# SPDX-License-Identifier: Apache-2.0
"""The three classes of the drawn data set, as figures in metres: only their shape tells them apart."""

import numpy as np

from pipelines.demo.drawing import Colour, Figure, Part, Point, shaded

# Waymo's ids: its third class, signs, is not labelled here, so there is a gap.
CLASS_IDS = {"vehicle": 1, "pedestrian": 2, "cyclist": 4}

TYRE: Colour = (38, 36, 36)
SKIN: tuple[Colour, ...] = ((148, 178, 222), (110, 142, 190), (78, 106, 158), (48, 66, 104))
HAIR: tuple[Colour, ...] = ((30, 34, 44), (36, 62, 96), (70, 120, 168), (140, 140, 144))
GLASS: tuple[Colour, ...] = ((92, 74, 58), (150, 128, 104), (66, 58, 54), (186, 170, 150))


def draw_road_user(kind: str, rng: np.random.Generator, colours: tuple[Colour, ...]) -> Figure:
    """One individual of a class.

    Args:
        kind: A key of `CLASS_IDS`.
        rng: Source of build, pose and colours.
        colours: What paint and clothes are made of; the same for every class.
    """
    figure = {"vehicle": _vehicle, "pedestrian": _pedestrian, "cyclist": _cyclist}[kind](rng, colours)
    squeeze = float(rng.uniform(0.8, 1.0)) if kind != "pedestrian" else 1.0
    flip = bool(rng.random() < 0.5)
    return [part.mirrored(squeeze, flip) for part in figure]


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return shaded(colours[int(rng.integers(len(colours)))], float(rng.uniform(0.75, 1.2)))


def _box(left: float, bottom: float, right: float, top: float, colour: Colour) -> Part:
    return Part(((left, bottom), (right, bottom), (right, top), (left, top)), colour)


def _vehicle(rng: np.random.Generator, colours: tuple[Colour, ...]) -> list[Part]:
    paint = _pick(rng, colours)
    glass = GLASS[int(rng.integers(len(GLASS)))]
    shape = rng.choice(["side", "front", "rear", "van", "bus"], p=[0.34, 0.2, 0.2, 0.14, 0.12])
    if shape == "side":
        return _car_from_side(rng, paint, glass)
    if shape == "van":
        return _van_from_side(rng, paint, glass, colours)
    if shape == "bus":
        return _bus_from_front(rng, paint, glass)
    return _car_from_end(rng, paint, glass, rear=shape == "rear")


def _wheel(x: float, radius: float) -> list[Part]:
    hub: Colour = (168, 168, 172)
    return [Part(((x, radius),), TYRE, radius=radius), Part(((x, radius),), hub, radius=radius * 0.5)]


def _car_from_side(rng: np.random.Generator, paint: Colour, glass: Colour) -> list[Part]:
    half = float(rng.uniform(1.75, 2.15))
    roof = float(rng.uniform(1.38, 1.6))
    belt = roof * 0.6
    tail = float(rng.uniform(0.72, 0.97)) * half  # an estate's roof reaches the tail, a saloon's does not
    nose = 0.38 * half
    body: tuple[Point, ...] = (
        (-half, 0.3), (half, 0.3), (half, belt * 0.72), (half * 0.93, belt * 0.9), (half * 0.6, belt),
        (-half * 0.95, belt), (-half, belt * 0.75),
    )  # fmt: skip
    cabin = ((half * 0.62, belt), (nose * 0.85, roof), (-tail * 0.72, roof), (-tail, belt))
    pane = 0.09
    windows = ((half * 0.5, belt), (nose * 0.78, roof - pane), (-tail * 0.68, roof - pane), (-tail * 0.88, belt))
    sill = _box(-half, 0.3, half, 0.42, shaded(paint, 0.6))
    pillar = _box(-0.12, belt, -0.02, roof - pane, paint)
    door = Part(((-0.07, belt), (-0.07, 0.42)), shaded(paint, 0.7), thickness=0.04)
    lamp = _box(half * 0.92, belt * 0.62, half, belt * 0.78, (190, 236, 250))
    tail_lamp = _box(-half, belt * 0.68, -half * 0.95, belt * 0.9, (44, 40, 206))
    handle = _box(-0.4, belt - 0.14, -0.2, belt - 0.09, shaded(paint, 0.55))
    parts = [Part(cabin, shaded(paint, 0.93)), Part(windows, glass), pillar, Part(body, paint), sill, door, handle]
    return [*parts, lamp, tail_lamp, *_wheel(half * 0.62, 0.34), *_wheel(-half * 0.62, 0.34)]


def _van_from_side(rng: np.random.Generator, paint: Colour, glass: Colour, colours: tuple[Colour, ...]) -> list[Part]:
    half = float(rng.uniform(2.2, 2.6))
    roof = float(rng.uniform(2.1, 2.5))
    body = (
        (-half, 0.35),
        (half, 0.35),
        (half, roof * 0.45),
        (half * 0.82, roof * 0.55),
        (half * 0.6, roof),
        (-half, roof),
    )
    window = (
        (half * 0.36, roof * 0.55),
        (half * 0.74, roof * 0.55),
        (half * 0.56, roof * 0.9),
        (half * 0.36, roof * 0.9),
    )
    stripe = _box(-half, roof * 0.5, half * 0.25, roof * 0.62, _pick(rng, colours))
    seam = Part(((half * 0.28, 0.4), (half * 0.28, roof * 0.95)), shaded(paint, 0.7), thickness=0.05)
    sill = _box(-half, 0.35, half, 0.48, shaded(paint, 0.6))
    lamp = _box(half * 0.93, roof * 0.33, half, roof * 0.42, (190, 236, 250))
    parts = [Part(body, paint), stripe, Part(window, glass), seam, sill, lamp]
    return [*parts, *_wheel(half * 0.64, 0.38), *_wheel(-half * 0.6, 0.38)]


def _car_from_end(rng: np.random.Generator, paint: Colour, glass: Colour, rear: bool) -> list[Part]:
    half = float(rng.uniform(0.85, 0.98))
    roof = float(rng.uniform(1.42, 1.7))
    belt = roof * 0.6
    cabin = ((-half * 0.94, belt), (half * 0.94, belt), (half * 0.7, roof), (-half * 0.7, roof))
    pane = (
        (-half * 0.82, belt + 0.02),
        (half * 0.82, belt + 0.02),
        (half * 0.62, roof - 0.1),
        (-half * 0.62, roof - 0.1),
    )
    body = (
        (-half, 0.26), (half, 0.26), (half, belt * 0.82), (half * 0.93, belt),
        (-half * 0.93, belt), (-half, belt * 0.82),
    )  # fmt: skip
    lamp: Colour = (48, 44, 214) if rear else (206, 240, 250)
    tyres = [_box(-half * 0.96, 0.0, -half * 0.68, 0.34, TYRE), _box(half * 0.68, 0.0, half * 0.96, 0.34, TYRE)]
    lamps = [
        _box(-half * 0.96, belt * 0.62, -half * 0.62, belt * 0.84, lamp),
        _box(half * 0.62, belt * 0.62, half * 0.96, belt * 0.84, lamp),
    ]
    grille = _box(-half * 0.5, belt * 0.55, half * 0.5, belt * 0.76, shaded(paint, 0.8 if rear else 0.45))
    bumper = _box(-half, 0.26, half, 0.42, shaded(paint, 0.55))
    plate = _box(-0.26, 0.34, 0.26, 0.46, (226, 230, 232))
    return [
        *tyres,
        Part(cabin, shaded(paint, 0.93)),
        Part(pane, glass),
        Part(body, paint),
        bumper,
        grille,
        *lamps,
        plate,
    ]


def _bus_from_front(rng: np.random.Generator, paint: Colour, glass: Colour) -> list[Part]:
    half = 1.22
    roof = float(rng.uniform(2.7, 3.1))
    body = (
        (-half, 0.3),
        (half, 0.3),
        (half, roof - 0.15),
        (half - 0.15, roof),
        (-half + 0.15, roof),
        (-half, roof - 0.15),
    )
    tyres = [_box(-half * 0.95, 0.0, -half * 0.7, 0.4, TYRE), _box(half * 0.7, 0.0, half * 0.95, 0.4, TYRE)]
    pane = _box(-half * 0.88, roof * 0.42, half * 0.88, roof * 0.82, glass)
    middle = _box(-0.03, roof * 0.42, 0.03, roof * 0.82, shaded(paint, 0.7))
    board = _box(-half * 0.6, roof * 0.86, half * 0.6, roof * 0.95, (40, 170, 240))
    lamps = [
        _box(-half * 0.9, 0.6, -half * 0.6, 0.85, (206, 240, 250)),
        _box(half * 0.6, 0.6, half * 0.9, 0.85, (206, 240, 250)),
    ]
    bumper = _box(-half, 0.3, half, 0.52, shaded(paint, 0.55))
    mirrors = [
        _box(-half - 0.16, roof * 0.6, -half, roof * 0.74, TYRE),
        _box(half, roof * 0.6, half + 0.16, roof * 0.74, TYRE),
    ]
    return [*tyres, Part(body, paint), pane, middle, board, bumper, *lamps, *mirrors]


def _pedestrian(rng: np.random.Generator, colours: tuple[Colour, ...]) -> list[Part]:
    height = float(rng.uniform(1.5, 1.85))
    top, legs, skin = _pick(rng, colours), _pick(rng, colours), SKIN[int(rng.integers(len(SKIN)))]
    hair = HAIR[int(rng.integers(len(HAIR)))]
    stride = float(rng.uniform(0.06, 0.34))
    swing = stride * float(rng.uniform(0.5, 1.0))
    hip, shoulder = height * 0.5, height * 0.82
    head = Part(((0.02, height - 0.13),), skin, radius=0.13)
    scalp = Part(((-0.02, height - 0.09),), hair, radius=0.11)
    torso = Part(((-0.16, hip - 0.06), (0.16, hip - 0.06), (0.23, shoulder), (-0.23, shoulder)), top)
    shoes = shaded(legs, 0.4)
    parts = [
        Part(((0.06, hip), (stride, height * 0.27), (stride - 0.03, 0.09)), shaded(legs, 0.85), thickness=0.16),
        Part(((-0.06, hip), (-stride * 0.7, height * 0.27), (-stride, 0.09)), legs, thickness=0.16),
        Part(((stride - 0.06, 0.05), (stride + 0.12, 0.05)), shoes, thickness=0.1),
        Part(((-stride - 0.03, 0.05), (-stride + 0.15, 0.05)), shoes, thickness=0.1),
        Part(
            ((0.18, shoulder - 0.05), (swing + 0.12, hip + 0.22), (swing + 0.16, hip)), shaded(top, 0.8), thickness=0.12
        ),
        torso,
        Part(
            ((-0.2, shoulder - 0.05), (-swing - 0.12, hip + 0.2), (-swing - 0.08, hip)),
            shaded(top, 0.88),
            thickness=0.12,
        ),
        Part(((0.0, shoulder - 0.02), (0.02, height - 0.2)), skin, thickness=0.12),
        scalp,
        head,
    ]
    if rng.random() < 0.3:
        parts.insert(5, _box(-0.38, hip + 0.05, -0.14, shoulder - 0.05, _pick(rng, colours)))  # a backpack
    if rng.random() < 0.25:  # a coat or skirt
        parts.insert(
            6, Part(((-0.26, hip * 0.62), (0.26, hip * 0.62), (0.17, hip + 0.1), (-0.17, hip + 0.1)), shaded(top, 0.9))
        )
    return parts


def _cyclist(rng: np.random.Generator, colours: tuple[Colour, ...]) -> list[Part]:
    frame, top, legs = _pick(rng, colours), _pick(rng, colours), _pick(rng, colours)
    skin = SKIN[int(rng.integers(len(SKIN)))]
    wheel, reach = 0.36, float(rng.uniform(0.5, 0.58))
    lean = float(rng.uniform(0.12, 0.36))
    saddle: Point = (-0.22, 0.98)
    shoulder: Point = (saddle[0] + lean, float(rng.uniform(1.42, 1.52)))
    bar: Point = (reach - 0.12, 1.02)
    crank: Point = (-0.02, 0.34)
    turn = float(rng.uniform(0, np.pi))
    pedal: Point = (crank[0] + 0.17 * float(np.cos(turn)), crank[1] + 0.17 * float(np.sin(turn)))
    other: Point = (2 * crank[0] - pedal[0], 2 * crank[1] - pedal[1])
    knee: Point = ((saddle[0] + pedal[0]) / 2 + 0.26, (saddle[1] + pedal[1]) / 2 + 0.1)
    far_knee: Point = ((saddle[0] + other[0]) / 2 + 0.26, (saddle[1] + other[1]) / 2 + 0.1)
    head: Point = (shoulder[0] + 0.13, shoulder[1] + 0.22)
    rings = [Part(((x, wheel),), TYRE, radius=wheel - 0.05, thickness=0.1) for x in (-reach, reach)]
    hubs = [Part(((x, wheel),), shaded(frame, 0.7), radius=0.06) for x in (-reach, reach)]
    tubes = [
        Part(((-reach, wheel), crank, (reach - 0.16, 0.86), (-0.2, 0.84), (-reach, wheel)), frame, thickness=0.07),
        Part(((-0.2, 0.84), crank), frame, thickness=0.07),
        Part(((reach, wheel), (reach - 0.16, 0.86), bar), frame, thickness=0.07),
    ]
    helmet = _pick(rng, colours)
    dome = tuple(
        (head[0] + 0.16 * float(np.cos(a)), head[1] + 0.03 + 0.14 * float(np.sin(a))) for a in np.linspace(0, np.pi, 8)
    )
    return [
        Part((saddle, far_knee, other), shaded(legs, 0.7), thickness=0.14),
        *rings,
        *hubs,
        *tubes,
        Part(((-0.34, 0.97), (-0.1, 0.97)), TYRE, thickness=0.08),
        Part((saddle, knee, pedal), legs, thickness=0.15),
        Part(
            (
                (saddle[0] - 0.12, saddle[1]),
                (saddle[0] + 0.16, saddle[1]),
                (shoulder[0] + 0.16, shoulder[1] + 0.03),
                (shoulder[0] - 0.16, shoulder[1] + 0.05),
            ),
            top,
        ),
        Part(
            (shoulder, ((shoulder[0] + bar[0]) / 2 + 0.03, (shoulder[1] + bar[1]) / 2 - 0.07), bar),
            shaded(top, 0.82),
            thickness=0.11,
        ),
        Part((head,), skin, radius=0.13),
        Part(dome, helmet),
    ]
