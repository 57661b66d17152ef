# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.documentation.footprints`: count anew what training each bundled architecture takes; minutes."""

import json
from dataclasses import asdict
from typing import Any

from training_src.models.architectures import build_detector
from training_src.models.config.pipeline import bundled_architectures, load_bundled
from training_src.models.footprint import footprint
from training_src.models.training_memory import FOOTPRINTS

CLASSES = 90


def counted(architecture: str) -> dict[str, Any]:
    """The numbers of one."""
    model = load_bundled(architecture, CLASSES).config.model
    return asdict(footprint(build_detector(model), model))


if __name__ == "__main__":
    found = {architecture: counted(architecture) for architecture in bundled_architectures()}
    FOOTPRINTS.write_text(json.dumps(found, indent=2) + "\n")
