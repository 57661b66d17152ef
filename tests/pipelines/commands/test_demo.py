# SPDX-License-Identifier: Apache-2.0
"""`mapgate demo`: what its story is given."""

from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.demo import run
from pipelines.zoo import pretrained
from pipelines.zoo.npm import NpmError


def test_a_machine_that_cannot_fetch_the_detector_is_told_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise NpmError("npm cannot bring it")

    def tell(*_: object, pretrained: Any, **__: object) -> None:
        assert pretrained.checkpoint() is None and pretrained.checkpoint() is None

    monkeypatch.setattr(pretrained, "fetch", unreachable)
    monkeypatch.setattr(run, "tell", tell)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    assert result.output.count("the training image goes without the pre-trained detector") == 1


def test_who_interrupts_the_story_is_told_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "tell", interrupted)
    result = CliRunner().invoke(app, ["demo"])

    assert result.exit_code == 130
    assert "mapgate: interrupted; the laptop's cloud and what runs in it go on" in result.output
