# SPDX-License-Identifier: Apache-2.0
"""The faults of a data set: counted without end, kept up to a number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from training_src.data.dataset import Fault, LabelledImage, Severity

# By check and severity. A data set of millions may be wrong throughout.
_KEPT = 1000
# Images that are kept beside their faults, to be shown.
_PICTURES = 24
_ORDER: tuple[Severity, ...] = ("error", "warning", "notice")


class Findings:
    """Takes faults as they are found."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, Severity]] = Counter()
        self.pictures: list[tuple[Fault, LabelledImage | None]] = []
        self._faults: dict[Severity, list[Fault]] = {severity: [] for severity in _ORDER}

    def add(self, faults: Iterable[Fault], labelled: LabelledImage | None = None) -> None:
        """Note faults of an image, or of the whole."""
        for fault in faults:
            key = (fault.check, fault.severity)
            self.counts[key] += 1
            if self.counts[key] <= _KEPT:
                self._faults[fault.severity].append(fault)
            if fault.severity != "notice" and labelled is not None and len(self.pictures) < _PICTURES:
                self.pictures.append((fault, labelled))

    def of(self, severity: Severity) -> Sequence[Fault]:
        """Those of a severity, as they came."""
        return self._faults[severity]

    def all(self) -> list[Fault]:
        """Errors, then warnings, then notices."""
        return [fault for severity in _ORDER for fault in self._faults[severity]]

    def number(self, severity: Severity) -> int:
        """How many there are, kept or not."""
        return sum(count for (_, found), count in self.counts.items() if found == severity)

    def sentences(self, severity: Severity, shown: int) -> list[str]:
        """The first messages, and how many more there are."""
        messages = [fault.message for fault in self._faults[severity][:shown]]
        more = self.number(severity) - len(messages)
        return [*messages, f"... and {more} more like these."] if more else messages

    def to_json(self) -> str:
        """All that `take_in` needs on another machine."""
        counts = [[check, severity, count] for (check, severity), count in self.counts.items()]
        return json.dumps({"counts": counts, "faults": [asdict(fault) for fault in self.all()]})

    def take_in(self, text: str) -> None:
        """Add what another's `to_json` gave."""
        content = json.loads(text)
        for check, severity, count in content["counts"]:
            self.counts[check, severity] += count
        for fields in content["faults"]:
            fault = Fault(**fields)
            kept = self._faults[fault.severity]
            if fault in kept:  # what several machines decided alike
                self.counts[fault.check, fault.severity] -= 1
            elif sum(other.check == fault.check for other in kept) < _KEPT:
                kept.append(fault)
