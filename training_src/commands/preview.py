# SPDX-License-Identifier: Apache-2.0
"""`preview`: a contact sheet of samples as training will see them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from training_src.data.formats import FORMAT_NAMES
from training_src.training.preview import DEFAULT, VARIANTS, preview


def run(
    source: Path,
    *,
    output: Path,
    config: str = DEFAULT,
    count: int = 6,
    seed: int = 17,
    format_: Annotated[str | None, FORMAT_NAMES] = None,
) -> int:
    """Draw samples, each as it is and augmented.

    Args:
        source: The data set's folder.
        output: The sheet: .png or .jpg.
        config: A pipeline.config, or a bundled architecture's name.
        count: Images, a row each.
        seed: Chooses images and what happens to them.
        format_: The data set's layout; the folder shows it otherwise.
    """
    rows = preview(source, output, config, count, seed, format_)
    print(f"{output}: {rows} images, each as it is and {VARIANTS} times augmented")
    return 0
