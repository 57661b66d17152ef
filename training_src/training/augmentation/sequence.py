# SPDX-License-Identifier: Apache-2.0
"""The options of a config, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from training_src.models.config.augmentation import PreprocessingStep
from training_src.models.config.augmentation_order import VALUES
from training_src.training.augmentation import autoaugment, colour, crops, disturbances, geometry, labels, values
from training_src.training.augmentation.labels import Classes
from training_src.training.augmentation.window import Pixels, Window

# The size to which an image of some height and width is resized in the end.
Resized: TypeAlias = Callable[[int, int], tuple[int, int]]


class Labelled(NamedTuple):
    """An image and its boxes.

    Attributes:
        image: `(height, width, 3)` uint8, or float32 where an option leaves 0..255.
        boxes: `(boxes, 4)` float32: ymin, xmin, ymax, xmax, normalised.
        classes: `(boxes,)`.
        weights: `(boxes,)` float32.
    """

    image: NDArray[np.uint8] | NDArray[np.float32]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    weights: NDArray[np.float32]


def augmentation(
    options: Sequence[PreprocessingStep], seed: int, resized: Resized | None = None
) -> Callable[[Labelled, int], Labelled]:
    """All options, in their order.

    Args:
        options: The config's.
        seed: The training's.
        resized: Gives the height and width that the result is drawn at; None: as large as the options leave it.

    Returns:
        A function of an image and its position in the training's sequence, which with the seed alone decides what
        happens to it. What it is given is left as it is.
    """
    steps = [_step(option) for option in options]
    # Numbers that are unrelated for related seeds and neighbouring options.
    keys = [int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0]) for index in range(len(steps))]
    # Later on nothing depends on the size any more.
    settled = max(
        (index + 1 for index, step in enumerate(steps) if step.kind in ("geometry", "disturbance")), default=0
    )
    last = [_value_change(option) for option in options if option.name in VALUES]

    def augment(labelled: Labelled, position: int) -> Labelled:
        assert labelled.image.dtype == np.uint8
        window, classes = Window.of(np.asarray(labelled.image, np.uint8), labelled.boxes), labelled.classes
        for index, (step, key) in enumerate(zip(steps, keys, strict=True)):
            if step.kind in ("disturbance", "colour"):
                window = window.drawn(resized(window.height, window.width) if resized and index >= settled else None)
            window, classes = step.apply(window, classes, Generator(Philox(key=[key, position])))
        window = window.drawn(resized(window.height, window.width) if resized else None)
        image: NDArray[np.uint8] | NDArray[np.float32] = window.pixels
        for change in last:
            image = change(image.astype(np.float32))
        return Labelled(image, window.boxes.astype(np.float32), classes[window.rows], labelled.weights[window.rows])

    return augment


def moves_pixels(options: Sequence[PreprocessingStep]) -> bool:
    """Whether any option crops, flips, pads, turns or scales."""
    return any(_step(option).kind == "geometry" for option in options)


def leaves_bytes(options: Sequence[PreprocessingStep]) -> bool:
    """Whether any option takes pixels out of 0..255, so that images become float32."""
    return any(option.name in VALUES for option in options)


@dataclass(frozen=True)
class _Step:
    """What an option does: it moves pixels, changes them depending on the image's size, one by one, or none of them."""

    kind: Literal["geometry", "disturbance", "colour", "labels"]
    apply: Callable[[Window, Classes, Generator], tuple[Window, Classes]]


_GEOMETRY: dict[str, Callable[[Any, Window, Generator], Window]] = {
    "random_horizontal_flip": geometry.horizontal_flip,
    "random_vertical_flip": geometry.vertical_flip,
    "random_rotation90": geometry.rotation90,
    "random_image_scale": geometry.image_scale,
    "random_crop_image": crops.crop_image,
    "random_pad_image": geometry.pad_image,
    "random_absolute_pad_image": geometry.absolute_pad_image,
    "random_crop_pad_image": crops.crop_pad_image,
    "random_crop_to_aspect_ratio": crops.crop_to_aspect_ratio,
    "ssd_random_crop": crops.ssd_random_crop,
    "ssd_random_crop_pad": crops.ssd_random_crop_pad,
    "ssd_random_crop_fixed_aspect_ratio": crops.ssd_random_crop_fixed_aspect_ratio,
    "ssd_random_crop_pad_fixed_aspect_ratio": crops.ssd_random_crop_pad_fixed_aspect_ratio,
    "random_square_crop_by_scale": geometry.square_crop_by_scale,
    "random_scale_crop_and_pad_to_square": geometry.scale_crop_and_pad_to_square,
    "random_self_concat_image": geometry.self_concat_image,
    "random_resize_method": geometry.resize_method,
    "random_downscale_to_target_pixels": geometry.downscale_to_target_pixels,
    "autoaugment_image": autoaugment.autoaugment,
}
_DISTURBANCES: dict[str, Callable[[Any, Pixels, Generator], Pixels]] = {
    "random_black_patches": disturbances.black_patches,
    "random_patch_gaussian": disturbances.patch_gaussian,
    "random_jpeg_quality": disturbances.jpeg_quality,
    "random_pixel_value_scale": disturbances.pixel_value_scale,
}
_COLOURS: dict[str, Callable[[Any, Pixels, Generator], Pixels]] = {
    "random_adjust_brightness": colour.adjust_brightness,
    "random_adjust_contrast": colour.adjust_contrast,
    "random_adjust_hue": colour.adjust_hue,
    "random_adjust_saturation": colour.adjust_saturation,
    "random_distort_color": colour.distort_color,
    "random_rgb_to_gray": colour.random_rgb_to_gray,
    "rgb_to_gray": colour.rgb_to_gray,
    "adjust_gamma": colour.adjust_gamma,
}


_LABELS: dict[str, Callable[[Any, Window, Classes, Generator], tuple[Window, Classes]]] = {
    "random_jitter_boxes": labels.jitter_boxes,
    "drop_label_probabilistically": labels.drop_label,
    "remap_labels": labels.remap_labels,
}
_VALUES: dict[str, Callable[[Any, values.Values], values.Values]] = {
    "normalize_image": values.normalize_image,
    "subtract_channel_mean": values.subtract_channel_mean,
}


def _step(option: PreprocessingStep) -> _Step:
    name, config = option.name, getattr(option, option.name)
    if name in _VALUES:
        return _Step("labels", lambda window, classes, rng: (window, classes))  # noqa: ARG005  done last
    if name in _LABELS:
        return _Step("labels", partial(_LABELS[name], config))
    if name in _GEOMETRY:
        return _Step("geometry", partial(_move, _GEOMETRY[name], config))
    if name in _DISTURBANCES:
        return _Step("disturbance", partial(_repaint, _DISTURBANCES[name], config))
    return _Step("colour", partial(_repaint, _COLOURS[name], config))


def _value_change(option: PreprocessingStep) -> Callable[[values.Values], values.Values]:
    return partial(_VALUES[option.name], getattr(option, option.name))


def _move(
    change: Callable[[Any, Window, Generator], Window], config: Any, window: Window, classes: Classes, rng: Generator
) -> tuple[Window, Classes]:
    return change(config, window, rng), classes


def _repaint(
    change: Callable[[Any, Pixels, Generator], Pixels], config: Any, window: Window, classes: Classes, rng: Generator
) -> tuple[Window, Classes]:
    return replace(window, pixels=change(config, window.pixels, rng)), classes
