# SPDX-License-Identifier: Apache-2.0
"""`convert`: a data set in any layout, written as TFRecords or COCO for other tools."""

import sys
from pathlib import Path
from typing import Annotated

from training_src.data.convert import convert
from training_src.data.formats import FORMAT_NAMES
from training_src.data.writers import WRITERS
from training_src.progress import Progress


def run(
    source: Path,
    destination: Path,
    *,
    to: Annotated[str, tuple(WRITERS)],
    format_: Annotated[str | None, FORMAT_NAMES] = None,
    label_map: Path | None = None,
) -> int:
    """Write a data set anew: 0 done, 2 faulty."""
    try:
        converted = convert(
            source, destination, to=to, format=format_, label_map=label_map, progress=Progress("converted")
        )
    except OSError as error:
        print(f"{destination} cannot be written: {error}.", file=sys.stderr)
        return 1
    for notice in converted.notices:
        print(f"notice: {notice}")
    print(f"{converted.format} to {to}: {converted.images} images, {converted.boxes} boxes")
    return 0
