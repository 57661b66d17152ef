# SPDX-License-Identifier: Apache-2.0
"""PublishDossier's asset: its folder, what signs evidence, and FindChampion's way to ask for an image's digest."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.evidence_asset import evidence_asset

HERE = Path(__file__).parent


@contextmanager
def publish_dossier_asset() -> Iterator[Path]:
    """A folder with all that the function needs, there as long as the context lasts; CDK copies it meanwhile."""
    with evidence_asset(HERE / "publish_dossier", HERE / "find_champion" / "image_digest.py") as folder:
        yield folder
