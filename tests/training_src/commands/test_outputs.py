# SPDX-License-Identifier: Apache-2.0
"""`outputs` as it is called; what it writes is compared with the reference beside `models/outputs.py`."""

from __future__ import annotations

import pytest

from training_src.__main__ import main


@pytest.mark.parametrize("half", [["--training"], ["--groundtruth", "g"]])
def test_a_training_step_and_its_ground_truth_go_together(half: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--pipeline-config", "p", "--checkpoint", "c", "--images", "i", "--output", "o"]

    assert main(["outputs", *given, *half]) == 2
    assert capsys.readouterr().err == "--training and --groundtruth go together: name both or neither.\n"
