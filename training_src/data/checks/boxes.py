# SPDX-License-Identifier: Apache-2.0
"""What must be true of the boxes of one image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from training_src.data.checks.orientation import are_shares
from training_src.data.checks.policy import DataPolicy
from training_src.data.dataset import Box, Fault, LabelledImage

Tell = Callable[[Fault], None]


class CheckedBoxes(NamedTuple):
    """Boxes that lie in their image.

    Attributes:
        boxes: In their order.
        clipped, dropped: Numbers of repaired boxes.
    """

    boxes: Sequence[Box]
    clipped: int
    dropped: int


def check_boxes(labelled: LabelledImage, width: int, height: int, policy: DataPolicy, tell: Tell) -> CheckedBoxes:
    """Look at every box; what is wrong is told, or repaired and told where the policy says so.

    Args:
        labelled: The image's boxes, and the names for the messages.
        width, height: Of the image, in pixels.
        policy: See there.
        tell: Takes each fault; those that were repaired are notices.
    """
    return _BoxChecks(labelled, width, height, policy, tell).run()


class _BoxChecks:
    """The checks of one image's boxes, one after the other."""

    def __init__(self, labelled: LabelledImage, width: int, height: int, policy: DataPolicy, tell: Tell) -> None:
        self._labelled = labelled
        self._width, self._height = width, height
        self._policy = policy
        self._tell = tell
        source = labelled.annotation
        self._named = source if source == labelled.image else f"{source}: {labelled.image}"
        self._fixed: dict[str, int] = {}
        self._dropped = 0

    def run(self) -> CheckedBoxes:
        kept: list[Box] = []
        seen: dict[tuple[object, ...], str] = {}
        clipped = 0
        for box in self._in_pixels(self._labelled.boxes):
            sound = self._repaired(box)
            if sound is None:
                continue
            key = (box.label, box.xmin, box.ymin, box.xmax, box.ymax)
            if key in seen and self._policy.handling("duplicate") != "off":
                sentence = f"repeats {seen[key]}: same class, same edges; remove one of them"
                self._leave_out("duplicate", box, sentence)
                continue
            seen.setdefault(key, box.place)
            inside = self._clipped(sound)
            clipped += self._beyond(sound) > 0.01  # TFRecord's float32 edges may round a little beyond 1
            self._judge_shape(inside)
            kept.append(inside)
        self._tell_repairs(clipped)
        return CheckedBoxes(tuple(kept), clipped, self._dropped)

    def _in_pixels(self, boxes: Sequence[Box]) -> Sequence[Box]:
        """The boxes, multiplied if they are shares of the image's size and the policy fixes that."""
        handling = self._policy.handling("normalised")
        if not are_shares(boxes) or handling == "off" or min(self._width, self._height) <= 2:
            return boxes
        count = "1 box" if len(boxes) == 1 else f"{len(boxes)} boxes"
        if handling != "fix":
            self._speak(
                "normalised",
                None,
                f"{self._named}: its {count}, such as {boxes[0]}, go from 0 to 1 where pixels are expected; "
                f"multiply them by {self._width} and {self._height}.",
            )
            return ()
        self._fixed["multiplied by the image's size"] = len(boxes)
        wide, high = self._width, self._height
        return [
            replace(
                box, xmin=box.xmin * wide, ymin=box.ymin * high, xmax=box.xmax * wide, ymax=box.ymax * high, area=None
            )
            for box in boxes
        ]

    def _repaired(self, box: Box) -> Box | None:
        """The box, sound or made sound; None where it is left out."""
        if not all(map(math.isfinite, (box.xmin, box.ymin, box.xmax, box.ymax))):
            self._leave_out("box", box, "has an edge that is no finite number")
            return None
        if box.xmin == box.xmax and box.ymin == box.ymax:
            self._leave_out("point", box, "is a single point; draw it again or remove it")
            return None
        if box.xmin > box.xmax or box.ymin > box.ymax:
            if self._policy.handling("corners") != "fix":
                sentence = "has swapped corners; write xmin, ymin, xmax, ymax (not x, y, width, height)"
                self._leave_out("corners", box, sentence)
                return None
            self._count("put right (its corners were swapped)")
            xmin, xmax = sorted((box.xmin, box.xmax))
            ymin, ymax = sorted((box.ymin, box.ymax))
            box = replace(box, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
        if box.xmin == box.xmax or box.ymin == box.ymax:
            self._leave_out("area", box, "has no area; draw it again or remove it")
            return None
        return self._inside(box)

    def _inside(self, box: Box) -> Box | None:
        beyond = self._beyond(box)
        inside = self._clipped(box)
        empty = inside.xmin >= inside.xmax or inside.ymin >= inside.ymax
        if beyond <= self._policy.threshold("outside", "tolerance") and not empty:
            return box
        if empty:
            self._leave_out("outside", box, "lies wholly outside its image; remove it")
            return None
        share = _area(inside) / _area(box)
        if self._policy.handling("outside") == "fix" and share >= self._policy.threshold("outside", "kept_area"):
            return box
        size = f"{self._width} x {self._height}"
        self._leave_out("outside", box, f"lies outside its image of {size} pixels, by {beyond:g}; correct it")
        return None

    def _leave_out(self, check: str, box: Box, sentence: str) -> None:
        """Leave a box out: counted where the policy fixes it, else as a fault."""
        if self._policy.handling(check) == "fix":
            self._dropped += 1
            self._count("point" if check == "point" else "dropped")
            return
        self._fault(check, box, sentence)

    def _fault(self, check: str, box: Box, sentence: str) -> None:
        message = f"{self._named}: {box.place} ({box.name}) {box} {sentence}."
        self._speak(check, f"{box.place} {box}", message)

    def _judge_shape(self, box: Box) -> None:
        across, down = box.xmax - box.xmin, box.ymax - box.ymin
        least, most = self._policy.threshold("box_size", "least"), self._policy.threshold("box_aspect", "aspect")
        if min(across, down) < least:
            self._fault("box_size", box, f"is only {across:g} x {down:g} pixels")
        if max(across, down) > most * min(across, down):
            self._fault("box_aspect", box, f"is {max(across, down) / min(across, down):.0f} times as long as wide")

    def _count(self, what: str) -> None:
        self._fixed[what] = self._fixed.get(what, 0) + 1

    def _tell_repairs(self, clipped: int) -> None:
        if points := self._fixed.pop("point", 0):
            boxes = "1 box that is a single point" if points == 1 else f"{points} boxes that are single points"
            self._notice("point", f"{boxes} dropped")
        for what, count in self._fixed.items():
            self._notice("box", f"{count} {'box' if count == 1 else 'boxes'} {what}")
        if clipped:
            tolerance = self._policy.threshold("outside", "tolerance")
            least = f" ({tolerance:g} pixels outside at most)" if self._policy.handling("outside") != "fix" else ""
            self._notice("outside", f"{clipped} {'box' if clipped == 1 else 'boxes'} clipped to the image{least}")

    def _notice(self, check: str, sentence: str) -> None:
        alike = Path(self._labelled.annotation).stem == Path(self._labelled.image).stem
        named = self._labelled.annotation if alike else self._named
        message = f"{named}: {sentence}."
        self._tell(Fault(self._labelled.annotation, None, check, message, "notice", self._labelled.image))

    def _speak(self, check: str, box: str | None, message: str) -> None:
        fault = self._policy.judge(Fault(self._labelled.annotation, box, check, message, image=self._labelled.image))
        if fault:
            self._tell(fault)

    def _beyond(self, box: Box) -> float:
        """How many pixels a box leaves its image by; negative inside."""
        return max(-box.xmin, -box.ymin, box.xmax - self._width, box.ymax - self._height)

    def _clipped(self, box: Box) -> Box:
        if self._beyond(box) <= 0:
            return box
        return replace(
            box,
            xmin=max(box.xmin, 0.0),
            ymin=max(box.ymin, 0.0),
            xmax=min(box.xmax, float(self._width)),
            ymax=min(box.ymax, float(self._height)),
        )


def _area(box: Box) -> float:
    return (box.xmax - box.xmin) * (box.ymax - box.ymin)
