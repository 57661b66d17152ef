# SPDX-License-Identifier: Apache-2.0
"""What a training's lines say: means of the losses since the last one, how fast it goes, how long it still takes."""

import time
from collections.abc import Callable

import numpy as np

from training_src.training.step import Losses, TrainingStep

# Steps by which the time that is left is foretold.
RECENT = 100


class Pace:
    """Means over the steps since the last line, and the pace, without pauses and, where it can be, without tracing.

    A size's first step is traced, which takes as long as many steps. It counts where a line has no other step at its
    end: then the figure is low, as those steps were, and never 0.

    Args:
        batch_size: Images a step, on all instances.
        clock: Seconds that only go forward.
    """

    def __init__(self, batch_size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._batch_size = batch_size
        self._clock = clock
        self._losses: list[Losses] = []
        self._traced = 0.0
        self._durations: list[float] = []  # untraced, at the present size
        self._earlier = 0.0  # seconds of a step at the size before
        self._step: TrainingStep | None = None
        self._last = clock()

    def add(self, losses: Losses, step: TrainingStep) -> None:
        """Note a step that has just been done."""
        now = self._clock()
        self._losses.append(losses)
        if step is self._step:
            self._durations.append(now - self._last)
        else:
            self._earlier = self._seconds_per_step
            self._traced, self._durations = now - self._last, []
        self._step, self._last = step, now

    def pause_over(self) -> None:
        """What happened since the last step was no training."""
        self._last = self._clock()

    def means(self, rate: float) -> dict[str, float]:
        """What a line tells, and the next one no more.

        Args:
            rate: The learning rate.
        """
        terms = {
            name.removeprefix("Loss/"): float(np.mean([losses.terms[name] for losses in self._losses]))
            for name in self._losses[0].terms
        }
        recent = self._durations[-len(self._losses) :] or [self._traced]
        total = float(np.mean([losses.total for losses in self._losses]))
        self._losses = []
        return {
            **terms,
            "loss": total,
            # Two stages have a loss of each kind: the line gives their sums.
            "classification_loss": _sum_of(terms, ("classification_loss", "objectness_loss")),
            "localization_loss": _sum_of(terms, ("localization_loss",)),
            "learning_rate": rate,
            "images_per_second": self._batch_size * len(recent) / max(sum(recent), 1e-9),
        }

    def seconds_left(self, steps: int) -> float | None:
        """How long so many steps will take; None while nobody knows."""
        return steps * self._seconds_per_step if steps == 0 or self._seconds_per_step else None

    @property
    def _seconds_per_step(self) -> float:
        """Of the last steps, those at the size before where the present one has had none but its first; 0: unknown."""
        return float(np.mean(self._durations[-RECENT:])) if self._durations else self._earlier


def _sum_of(terms: dict[str, float], kinds: tuple[str, ...]) -> float:
    return sum(value for name, value in terms.items() if name.endswith(kinds))
