# SPDX-License-Identifier: Apache-2.0
"""The asset of a function that signs: its folder, and `containers/evidence`, by whose statements it signs.

The modules keep their paths and so their imports; nothing of them is written twice.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVIDENCE = ROOT / "containers" / "evidence"


@contextmanager
def evidence_asset(handler: Path, *modules: Path) -> Iterator[Path]:
    """A folder with all that the function needs, there as long as the context lasts; CDK copies it meanwhile.

    Args:
        handler: The function's own folder, whose modules lie at the asset's root.
        modules: Those of other functions that it needs too; they lie there as well.
    """
    with tempfile.TemporaryDirectory(prefix="evidence-") as temporary:
        folder = Path(temporary)
        _copy(handler, folder)
        for module in modules:
            shutil.copyfile(module, folder / module.name)
        _copy(EVIDENCE, folder / "containers" / "evidence")
        shutil.copyfile(ROOT / "containers" / "__init__.py", folder / "containers" / "__init__.py")
        yield folder


def _copy(source: Path, target: Path) -> None:
    for module in sorted(source.rglob("*.py")):
        copied = target / module.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, copied)
