# SPDX-License-Identifier: Apache-2.0
"""What is kept of the faults that are found."""

import pytest

from training_src.data.checks.findings import Findings
from training_src.data.dataset import Encoded, Fault, LabelledImage, Severity

IMAGE = LabelledImage("a", "a.jpg", "a.xml", encoded=Encoded("a.jpg"), boxes=())


@pytest.mark.parametrize(
    ("severity", "labelled", "shown"),
    [("error", IMAGE, 1), ("warning", IMAGE, 1), ("notice", IMAGE, 0), ("error", None, 0)],
)
def test_pictures_are_of_faults_that_have_an_image(
    severity: Severity, labelled: LabelledImage | None, shown: int
) -> None:
    findings = Findings()
    findings.add([Fault("a.xml", None, "area", "has no area", severity)], labelled)
    assert len(findings.pictures) == shown
    assert len(findings.of(severity)) == 1


def test_of_many_faults_a_few_are_shown_and_all_are_counted() -> None:
    findings = Findings()
    findings.add([Fault("a.xml", None, "area", str(number)) for number in range(2000)], IMAGE)
    assert len(findings.pictures) == 24
    assert len(findings.of("error")) == 1000
    assert sum(findings.counts.values()) == 2000
    assert findings.sentences("error", 2) == ["0", "1", "... and 1998 more like these."]
    assert findings.sentences("notice", 2) == []


def test_of_many_faults_of_several_machines_a_few_of_each_check_are_kept() -> None:
    one, other, joined = Findings(), Findings(), Findings()
    one.add([Fault("a.xml", None, "area", str(number)) for number in range(1000)])
    other.add([Fault("b.xml", None, "leak", "leaks"), Fault("b.xml", None, "area", "one more")])
    joined.take_in(one.to_json())
    joined.take_in(other.to_json())
    assert [fault.check for fault in joined.of("error")] == ["area"] * 1000 + ["leak"]
    assert joined.number("error") == 1002


def test_what_several_machines_decided_alike_counts_once() -> None:
    alike, joined = Fault("a.xml", None, "leak", "leaks"), Findings()
    for machine in range(3):
        found = Findings()
        found.add([alike, Fault(f"{machine}.xml", None, "leak", "leaks")])
        joined.take_in(found.to_json())
    assert joined.number("error") == len(joined.of("error")) == 4
