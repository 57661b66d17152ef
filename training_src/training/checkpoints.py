# SPDX-License-Identifier: Apache-2.0
"""The state of a training on disk: weights, the optimizer's slots, step and history, written beside and then renamed.

The folder lies under the training's fingerprint in the directory that SageMaker uploads while a job runs and brings
back when it starts again: https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
"""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training_src.errors import TrainingError
from training_src.models.checkpoints import checkpoint
from training_src.models.errors import CheckpointError

# A different number makes older checkpoints those of another training.
FORMAT = 2
KEPT = 2
Tensors = Mapping[str, NDArray[np.generic]]


@dataclass
class TrainingProgress:
    """How far a training has come.

    Attributes:
        step: Steps that are done.
        history: Its losses and validations, as history.json holds them.
        best_step: The step of the best validation; 0 before the first.
        best_map: That validation's mAP; -1 where it is not known.
        best_value: What that validation was chosen for, the greater the better: mAP, or the loss with its sign turned.
        mark: What the last improvement was judged by; a later value improves if it is greater by the least difference.
        improved_step: The step of the last improvement.
        judged_step: That of the last validation.
        stale: Validations since the last improvement.
        num_steps: Of the training that was asked for when this was saved; 0 where that is not known.
    """

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_map: float = -1.0
    best_value: float = -math.inf
    mark: float = -math.inf
    improved_step: int = 0
    judged_step: int = 0
    stale: int = 0
    num_steps: int = 0

    def note(self, value: float, mean_ap: float, least: float) -> bool:
        """Take a validation after the present step into account.

        Args:
            value: What it is judged by, the greater the better.
            mean_ap: Its mAP.
            least: By how much a value must be greater than the last improvement to be one.

        Returns:
            Whether its weights are the best so far; of equal ones the later are.
        """
        self._judge(self.step, value, least)
        best = value >= self.best_value
        if best:
            self.best_step, self.best_map, self.best_value = self.step, mean_ap, value
        return best

    def judge_anew(self, metric: str, least: float) -> None:
        """Find out again, for another least difference, which of all validations were improvements.

        Args:
            metric: What they are judged by: `mAP` or `loss`.
            least: As in `note`.
        """
        self.mark, self.improved_step, self.judged_step, self.stale = -math.inf, 0, 0, 0
        for entry in self.history:
            if "validation_loss" in entry:
                value = entry["mAP"] if metric == "mAP" else -entry["validation_loss"]
                self._judge(int(entry["step"]), value, least)

    def _judge(self, step: int, value: float, least: float) -> None:
        """As `keras.callbacks.EarlyStopping`: what creeps up by less than `least` improves once that adds up."""
        # At the start every mAP is 0, which is no failure to improve: nothing was learnt yet.
        nothing_learnt = value == 0 and self.mark <= 0
        self.judged_step = step
        if value > self.mark + least or nothing_learnt:
            self.mark, self.improved_step, self.stale = value, step, 0
        else:
            self.stale += 1


# Of a training's hyperparameters those on which it does not depend what a checkpoint is worth: how long it goes on.
LENGTH = frozenset(
    {
        "num_train_steps",
        "num_steps",
        "epochs",
        "early_stopping",
        "early_stopping_patience",
        "early_stopping_min_delta",
    }
)


def fingerprint(config: str, hyperparameters: Mapping[str, str], dataset: str, initial: str = "") -> str:
    """What makes a checkpoint one of this training and no other.

    Args:
        config: Digest of the pipeline.config, which leaves its length out, before its schedule is scaled to the steps
            that are asked for.
        hyperparameters: The job's; how long it trains is left out, since more steps go on from fewer.
        dataset: Content hash of the prepared data set.
        initial: Digest of the checkpoint to start from, if there is one.

    Returns:
        16 hexadecimal digits.
    """
    parts = {
        "format": FORMAT,
        "config": config,
        "hyperparameters": {name: value for name, value in hyperparameters.items() if name not in LENGTH},
        "dataset": dataset,
        "initial": initial,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class CheckpointStore:
    """The checkpoints of one training, whose length is open: a longer one goes on from where a shorter one ended.

    Args:
        folder: Of this training alone; made when something is saved.
        num_steps: Steps that are asked for now. What a longer training left behind them is neither read nor deleted.
    """

    def __init__(self, folder: Path, num_steps: int) -> None:
        self._folder = folder
        self._num_steps = num_steps

    def save(self, tensors: Tensors, progress: TrainingProgress) -> None:
        """Keep the state; the two newest are kept.

        Raises:
            TrainingError: If a tensor is not finite: the last good checkpoint stays the newest.
        """
        self._write(f"step-{progress.step:08d}", tensors, progress)
        for old in self._named("step-")[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def save_best(self, tensors: Tensors, progress: TrainingProgress) -> None:
        """Keep the weights of the best validation so far."""
        self._write(f"best-{progress.step:08d}", tensors, progress)
        for old in self._named("best-"):
            if old.name != f"best-{progress.step:08d}":
                shutil.rmtree(old, ignore_errors=True)

    def latest(self) -> tuple[dict[str, NDArray[np.generic]], TrainingProgress] | None:
        """The newest state that can be read; None where there is none."""
        for folder in reversed(self._named("step-")):
            try:
                return checkpoint.read(str(folder / "state")), _progress(folder)
            except (CheckpointError, OSError, ValueError, TypeError) as error:
                print(f"{folder.name} cannot be read and is passed over: {error}", flush=True)
        return None

    def keep_last(self) -> None:
        """Delete all but the last full checkpoint and the best weights that it names, from which a longer one goes on.

        For after the export: before it, another full checkpoint takes the place of one that turns out to be damaged.
        """
        last = max(self._folder.glob("step-*"))
        try:
            kept = {last.name, f"best-{_progress(last).best_step:08d}"}
        except (OSError, ValueError, TypeError):
            kept = {last.name}
        for path in self._folder.iterdir():
            if path.is_dir() and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def best(self, step: int) -> dict[str, NDArray[np.generic]] | None:
        """The weights of the best validation, if they are those of this step."""
        folder = self._folder / f"best-{step:08d}"
        return checkpoint.read(str(folder / "state")) if folder.is_dir() else None

    def _write(self, name: str, tensors: Tensors, progress: TrainingProgress) -> None:
        for key, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise TrainingError(
                    f"Step {progress.step}: {key.split('/.ATTRIBUTES')[0]} is no longer finite; lower "
                    f"learning_rate_base or set gradient_clipping_by_norm. {self.last_good()}"
                )
        partial = self._folder / f"partial-{name}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        checkpoint.write(str(partial / "state"), tensors)
        (partial / "progress.json").write_text(json.dumps(asdict(progress)))
        shutil.rmtree(self._folder / name, ignore_errors=True)
        partial.rename(self._folder / name)

    def last_good(self) -> str:
        """A sentence that names the newest checkpoint."""
        kept = self._named("step-")
        if not kept:
            return "There is no checkpoint yet."
        return f"The checkpoint of step {int(kept[-1].name.removeprefix('step-'))} is kept in {self._folder}."

    def _named(self, prefix: str) -> list[Path]:
        """Whole folders by their steps, the last one last."""
        last = f"{prefix}{self._num_steps:08d}"
        return sorted(path for path in self._folder.glob(f"{prefix}*") if path.is_dir() and path.name <= last)


def _progress(folder: Path) -> TrainingProgress:
    content: dict[str, Any] = json.loads((folder / "progress.json").read_text())
    return TrainingProgress(**content)
