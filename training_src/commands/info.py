# SPDX-License-Identifier: Apache-2.0
"""`info`: what a config builds: layers, parameters, operations, anchors."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from training_src.errors import BadInputError
from training_src.models.config.legacy import mapping_table
from training_src.models.config.pipeline import PipelineDescription, load, load_bundled

if TYPE_CHECKING:
    from training_src.models.info import Info


def run(
    *,
    pipeline_config: Path | None = None,
    architecture: str | None = None,
    num_classes: int | None = None,
    json_: bool = False,
) -> int:
    """Print what a config builds."""
    if pipeline_config and architecture:
        raise BadInputError("name either --pipeline-config or --architecture, not both.")
    if pipeline_config and num_classes:
        raise BadInputError(f"--num-classes goes with --architecture: {pipeline_config} says its own num_classes.")
    if pipeline_config:
        description = load(pipeline_config, num_classes=1)
    elif architecture:
        description = load_bundled(architecture, num_classes or 90)
    else:
        raise BadInputError("name either --pipeline-config or --architecture.")

    # TensorFlow takes seconds, and has something to say.
    from training_src.models.architectures import build_detector
    from training_src.models.info import describe

    # What a detector says while it is built is not what was asked for.
    with contextlib.redirect_stdout(sys.stderr):
        info = describe(build_detector(description.config.model), description)
    print(json.dumps(asdict(info), indent=2) if json_ else text(info, description))
    return 0


def text(info: Info, description: PipelineDescription) -> str:
    """The info for reading."""
    size = "x".join(map(str, info.input_size)) if info.input_size else "as the image's"
    lines = [f"{info.source}: input {size}, {info.num_classes} classes, {info.parameters / 1e6:.2f} M parameters"]
    if description.mapped:
        lines += ["", mapping_table(description.mapped)]
    for network in info.networks:
        shape = "x".join("?" if side is None else str(side) for side in network.input_shape)
        flops = "depends on the image" if network.flops is None else f"{network.flops / 1e9:.2f} G"
        lines += [
            "",
            f"{network.name} (input {shape})",
            f"  layers      {', '.join(f'{count} {kind}' for kind, count in network.layers.items())}",
            f"  parameters  {network.parameters:,} trained, {network.other_parameters:,} others",
            f"  operations  {flops} FLOPs an image (convolutions and matrix products, counted in the traced graph)",
        ]
    lines += ["", "level     map  channels  anchors a cell  anchors"]
    for number, level in enumerate(info.levels):
        side = f"{level.height or '?'}x{level.width or '?'}"
        lines.append(
            f"{number:5d} {side:>7} {level.channels:9d} {level.anchors_per_cell:15d} {level.anchors or '?':>8}"
        )
    return "\n".join(lines)
