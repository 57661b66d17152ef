# SPDX-License-Identifier: Apache-2.0
"""CheckPlan's asset: its folder, modules of FindChampion, what judges of the training source, and PyYAML.

The modules keep their paths and so their imports; nothing of them is written twice. PyYAML is the synth's own, of which
the part in Python is enough and runs on any architecture: no index, no docker and no second copy in the repository.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HANDLER = Path(__file__).with_name("check_plan")
FIND_CHAMPION = Path(__file__).with_name("find_champion")
CHAMPION = [FIND_CHAMPION / name for name in ("champion.py", "image_digest.py", "services.py")]
CARRIED = (
    "containers/__init__.py",
    "containers/contract/__init__.py",
    "containers/contract/errors.py",
    "containers/contract/pictures.py",
    "training_src/__init__.py",
    "training_src/class_names.py",
    "training_src/errors.py",
    "training_src/evaluation/__init__.py",
    "training_src/evaluation/errors.py",
    "training_src/evaluation/floor.py",
    "training_src/evaluation/policy.py",
    "training_src/evaluation/policy_values.py",
    "training_src/evaluation/rules.py",
    "training_src/evaluation/support.py",
    "training_src/plan.py",
    "training_src/training/__init__.py",
    "training_src/training/written_settings.py",
)


@contextmanager
def check_plan_asset() -> Iterator[Path]:
    """A folder with all that the function needs, there as long as the context lasts; CDK copies it meanwhile."""
    with tempfile.TemporaryDirectory(prefix="check-plan-") as temporary:
        folder = Path(temporary)
        for source in (*HANDLER.glob("*.py"), *CHAMPION):
            shutil.copyfile(source, folder / source.name)
        for name in CARRIED:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        (folder / "yaml").mkdir()
        for source in Path(yaml.__file__).parent.glob("*.py"):
            shutil.copyfile(source, folder / "yaml" / source.name)
        yield folder
