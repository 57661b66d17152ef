# SPDX-License-Identifier: Apache-2.0
"""The command as somebody types it, where it needs no cloud."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.cloud import CloudError
from pipelines import cli

CHECKOUT = Path(__file__).resolve().parents[2]
Mapgate = Callable[..., subprocess.CompletedProcess[str]]


def test_the_command_explains_itself(mapgate: Mapgate) -> None:
    result = mapgate()

    assert "Usage: mapgate" in result.stdout
    assert all(noun in result.stdout for noun in ("run", "executions", "models", "images", "local", "demo"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--local", "models", "list"], "mapgate local up"),
        (["models", "list"], "--region"),
        (["--role", "approver", "models", "list"], "--role goes with --local"),
        (["--region", "us-east-1", "models", "list"], "credentials"),
        (["--endpoint-url", "http://127.0.0.1:1", "models", "list"], "Could not connect"),
        (["check", "nowhere.json"], "nowhere.json"),
        (["images", "push", "--accelerator", "tpu"], "cpu or gpu"),
        (["demo", "--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_gives_one_sentence_with_the_way_out(typed: Mapgate, arguments: list[str], told: str) -> None:
    result = typed(*arguments)

    assert result.returncode == 2, result.stderr
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["local", "status"], ["demo"], ["--local", "models", "list"]])
def test_without_localcloud_one_sentence_says_what_is_missing(words: list[str]) -> None:
    code = "import sys; sys.modules['localcloud'] = None; from pipelines.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(
        "mapgate: this needs the package localcloud, which is not installed here: run `make setup`"
    )
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_error_of_the_laptops_cloud_is_a_sentence_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def taken(**_: object) -> None:
        raise CloudError("port 4577 belongs to [another] program")

    monkeypatch.setattr(cli, "app", taken)
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 1
    assert capsys.readouterr().err == "mapgate: port 4577 belongs to [another] program\n"


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(ModuleNotFoundError):
        cli.main()


@pytest.mark.parametrize(
    ("typed", "further"),
    [
        ("run ./images --architecture ssd_mob", []),
        ("model info --architecture ssd_mob", []),
        ("zoo fetch ssd_mob", ["ssd_mobilenet_v2_300x300_open_images"]),
    ],
)
def test_tab_completes_architectures(mapgate: Mapgate, typed: str, further: list[str]) -> None:
    # As the function that --install-completion leaves in a shell asks.
    done = mapgate(_MAPGATE_COMPLETE="complete_bash", COMP_WORDS=f"mapgate {typed}", COMP_CWORD=str(len(typed.split())))

    assert done.stdout.split() == [
        *further,
        "ssd_mobilenet_v2_320x320",
        *(f"ssd_mobilenet_v2_fpnlite_{size}x{size}" for size in (160, 320, 640)),
    ]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("run ./images --initial-checkpoint s", ["scratch", "ssd_mobilenet_v2_300x300_open_images"]),
        ("run ./images --initial-checkpoint champ", ["champion"]),
        ("run ./images --initial-checkpoint ./own", []),  # the shell completes paths by itself
    ],
)
def test_tab_completes_what_a_training_may_start_from(mapgate: Mapgate, typed: str, words: list[str]) -> None:
    done = mapgate(_MAPGATE_COMPLETE="complete_bash", COMP_WORDS=f"mapgate {typed}", COMP_CWORD=str(len(typed.split())))

    assert done.stdout.split()[: len(words) or None] == words
