# SPDX-License-Identifier: Apache-2.0
"""What a training takes of a machine's memory, and the batch that fits it. TensorFlow is not needed to say so."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from training_src.errors import ConfigurationError

GIB = 1 << 30
FOOTPRINTS = Path(__file__).with_name("configs") / "footprints.json"
Asked = int | Literal["auto"]
# TensorFlow, a gibibyte of decoded images and those on their way on a CPU; contexts and workspaces of cuDNN on a GPU.
_BESIDE_ON_A_CPU = 2 * GIB
_BESIDE_ON_A_GPU = 1 * GIB
# Bytes a parameter: itself, the optimizer's slot, its gradient, and one on the way. All have 32 bits in any precision.
_OF_A_PARAMETER = 16
# Of all memory. A CPU's is shared with the page cache and with validation, a GPU's is the training's own.
_SHARE_OF_A_CPU = 0.6
_SHARE_OF_A_GPU = 0.9
# Of the bytes an image, and of those beside, that are counted: what the most frugal training was measured to take.
_LEAST_PART = 0.6
_LEAST_PART_BESIDE = 0.5


@dataclass(frozen=True)
class Footprint:
    """A detector's training in numbers.

    Attributes:
        bytes_an_image: Kept between the forward and the backward pass, at most.
        parameters: All weights, trained or not.
        forward_flops: Operations of the forward pass for an image, multiplications and additions counted singly.
    """

    bytes_an_image: int
    parameters: int
    forward_flops: int

    def in_half_precision(self) -> "Footprint":
        """The same with activations of 16 bits."""
        return replace(self, bytes_an_image=self.bytes_an_image // 2)

    def of_pixels(self, ratio: float) -> "Footprint":
        """The same for images of so many times as many pixels, with which a convolutional network's maps grow."""
        return replace(
            self,
            bytes_an_image=round(self.bytes_an_image * ratio),
            forward_flops=round(self.forward_flops * ratio),
        )

    def bytes_of(self, batch: int, *, on_gpu: bool) -> int:
        """What a training with this batch takes of one device's memory, at most."""
        return self._beside(on_gpu=on_gpu) + batch * self.bytes_an_image

    def least_bytes_of(self, batch: int, *, on_gpu: bool) -> int:
        """What it takes at least."""
        images = _LEAST_PART * batch * self.bytes_an_image
        return int(_LEAST_PART_BESIDE * self._beside(on_gpu=on_gpu) + images)

    def _beside(self, *, on_gpu: bool) -> int:
        beside = _BESIDE_ON_A_GPU if on_gpu else _BESIDE_ON_A_CPU
        return beside + _OF_A_PARAMETER * self.parameters


@dataclass(frozen=True)
class Memory:
    """Of one device: a GPU's own, or the machine's as far as this process may use it."""

    total: int
    on_gpu: bool = False

    @property
    def usable(self) -> int:
        """The share that a batch is chosen to fit into."""
        return int(self.total * (_SHARE_OF_A_GPU if self.on_gpu else _SHARE_OF_A_CPU))


def asked_batch(setting: Asked | None, configs: int, *, bundled: bool) -> Asked:
    """What the setting batch_size asks for, else `auto` for a bundled config and the config's own for any other."""
    return setting or ("auto" if bundled else configs)


def batch_for(asked: Asked, configs: int, footprint: Footprint, memory: Memory, replicas: int = 1) -> int:
    """The batch of a training.

    Args:
        asked: `auto` takes what fits into the usable share of each replica's memory, at most the config's.
        configs: The config's own batch.
        footprint: Of the detector.
        memory: Of each replica.
        replicas: Among which the batch is divided.

    Raises:
        ConfigurationError: If it needs more memory than there is, with the way out.
    """
    fitting = _fitting(footprint, memory) * replicas
    batch = max(min(configs, fitting) // replicas * replicas, replicas) if asked == "auto" else asked
    needed = footprint.least_bytes_of(-(-batch // replicas), on_gpu=memory.on_gpu)
    if needed <= memory.total:
        return batch
    each = "each GPU" if memory.on_gpu else "this machine"
    told = f"a batch of {batch} needs at least {gibibytes(needed)} of memory, and {each} has {gibibytes(memory.total)}"
    smaller = footprint.least_bytes_of(1, on_gpu=memory.on_gpu) <= memory.total
    way_out = f"set batch_size={max(fitting, replicas)} or batch_size=auto, or take" if smaller else "take"
    raise ConfigurationError(f"{told}: {way_out} an instance type with more memory or a smaller architecture.")


def _fitting(footprint: Footprint, memory: Memory) -> int:
    """Images of one replica that fit into the usable share: a power of two, whatever a few bytes more would do."""
    beside = footprint.bytes_of(0, on_gpu=memory.on_gpu)
    images = max((memory.usable - beside) // max(footprint.bytes_an_image, 1), 1)
    return 1 << (images.bit_length() - 1)


def gibibytes(count: int) -> str:
    """A number of bytes in words."""
    return f"{count / GIB:.1f} GiB"


def bundled_footprint(architecture: str) -> Footprint:
    """That of a bundled architecture with 32 bits and 90 classes; `make footprints` counts them anew.

    Args:
        architecture: A bundled name.
    """
    return Footprint(**json.loads(FOOTPRINTS.read_text())[architecture])
