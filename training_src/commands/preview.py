# SPDX-License-Identifier: Apache-2.0
"""`preview`: a contact sheet of samples as training will see them."""

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
    """Draw samples, each as it is and augmented."""
    rows = preview(source, output, config, count, seed, format_)
    print(f"{output}: {rows} images, each as it is and {VARIANTS} times augmented")
    return 0
