# SPDX-License-Identifier: Apache-2.0
"""`architectures`: the table of the zoo's models that can be built here."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from training_src.models.zoo import ZOO, ZooModel, zoo_model


def run(name: str | None = None, *, json_: bool = False) -> int:
    """Print every model that can be built here, or the one of that name, which may be any of the zoo's."""
    models = [zoo_model(name)] if name else ZOO
    if json_:
        told = [{"name": model.name, "input_size": model.input_size, **asdict(model)} for model in models]
        print(json.dumps(told, indent=2))
    else:
        print(table(models))
    return 0


def table(models: Sequence[ZooModel]) -> str:
    """A line a model: input, parameters, and the zoo's quality and speed."""
    width = max(len(model.name) for model in models)
    lines = [f"{'architecture':<{width}}  input      parameters  COCO mAP  zoo's ms an image"]
    for model in models:
        count = f"{model.parameters / 1e6:9.2f} M"
        quality = "-" if model.coco_map is None else f"{model.coco_map:.1f}"
        speed = "-" if model.speed_ms is None else str(model.speed_ms)
        lines.append(f"{model.name:<{width}}  {model.input_size:<9} {count}  {quality:>8}  {speed:>17}")
    return "\n".join(lines)
