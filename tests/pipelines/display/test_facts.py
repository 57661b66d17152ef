# SPDX-License-Identifier: Apache-2.0
"""What is known fits the screen, but for addresses, which are never broken."""

from __future__ import annotations

from pipelines.display.facts import fact_lines, sentence_lines

ADDRESS = f"s3://data/{'x' * 200}/report-of-a-run.html"


def test_prose_goes_on_under_itself() -> None:
    told = list(fact_lines({"for": "Counts bikes at crossings, by day and by night.", "is": 3, "not": None}, 40))
    assert told == [
        "  for  Counts bikes at crossings, by day",
        "       and by night.",
        "  is   3",
    ]


def test_addresses_are_never_broken() -> None:
    (_, line) = fact_lines({"report": f"see {ADDRESS}"}, 80)
    assert line.strip() == ADDRESS
    assert list(sentence_lines(f"{ADDRESS} it is", 1_000_000)) == [f"  {ADDRESS} it is"]
