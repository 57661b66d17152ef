# SPDX-License-Identifier: Apache-2.0
"""Whether a job will have measured all before the platform stops it, said as soon as a rate is known."""

import time
from dataclasses import dataclass, field

from inference_src.errors import TooLittleTimeError

RESERVE = 0.1
"""Share of the time that is left for what runs before and after: loading the image, the inputs, the outputs."""


@dataclass(frozen=True)
class TimeLimit:
    """The job's time, and what it has to do in it.

    Attributes:
        images: In the test set.
        seconds: After which the platform stops the job; None where it does not say.
        begun: When the job's work began, by `time.monotonic`.
    """

    images: int
    seconds: float | None
    begun: float = field(default_factory=time.monotonic)

    def check(self, what: str, answered: int, images_per_second: float, runs_after: int, start_seconds: float) -> None:
        """Stop where the test set is too large.

        Args:
            what: Which server is measured: a model's role, runtime and precision.
            answered: Images that it has answered.
            images_per_second: At which it does.
            runs_after: Servers to be measured after this one; each is taken to be as fast.
            start_seconds: What each of these needs besides.

        Raises:
            TooLittleTimeError: The time will not do; the sentence says what would.
        """
        if self.seconds is None:
            return
        left = self.images * (1 + runs_after) - answered
        needed = time.monotonic() - self.begun + left / images_per_second + runs_after * start_seconds
        if needed <= self.seconds * (1 - RESERVE):
            return
        raise TooLittleTimeError(
            f"{what}: at {images_per_second:.3g} images a second the {self.images} test images take "
            f"{_span(needed)} in all, with {runs_after} of the servers still to come, but the job is stopped after "
            f"{_span(self.seconds)}: raise processing.evaluate_maximum_hours in the environment's settings, choose a "
            "faster delivery.instance_type, or prepare fewer test images"
        )


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
