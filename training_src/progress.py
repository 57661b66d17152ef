# SPDX-License-Identifier: Apache-2.0
"""How far a run through the images has come, said now and then."""

import time

SECONDS_BETWEEN = 2.0


class Progress:
    """Prints a line now and then, such as `checked=200/983 images_per_second=812.0`."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._started = self._printed = time.monotonic()
        self._done = 0

    def add(self, images: int, total: int) -> None:
        """So many more."""
        self(self._done + images, total)

    def __call__(self, done: int, total: int | None = None) -> None:
        """So many are done, of so many where that is known; the last of them is always said."""
        self._done = done
        now = time.monotonic()
        if done != total and now - self._printed < SECONDS_BETWEEN:
            return
        self._printed = now
        rate = done / max(now - self._started, 1e-6)
        of = "" if total is None else f"/{total}"
        print(f"{self._verb}={done}{of} images_per_second={rate:.1f}", flush=True)
