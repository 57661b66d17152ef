# SPDX-License-Identifier: Apache-2.0
"""The command as somebody types it, where it needs no cloud."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from localcloud.cloud import CloudError
from pipelines import cli
from pipelines.commands.terminal import complaints
from pipelines.errors import BadInputError

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
        (["local", "up", "--port", "80000"], "less than or equal to 65535; `mapgate local up --help` explains it"),
        (["--nope"], "No such option: --nope"),
        (["run"], "Missing argument 'DATA'; `mapgate run --help` explains it"),
        (["runn"], "No such command 'runn'"),
        (["data", "preview", "images", "--output", "nowhere/x.png"], "there is no folder nowhere; make it, or name"),
        (["data", "check", "images", "--report", "nowhere/x.html"], "there is no folder nowhere; make it, or name"),
        (["data", "check", "images", "--output", "Makefile/x"], "Makefile is a file; name a folder"),
        (["data", "convert", "images", "Makefile", "--to", "coco"], "Makefile is a file; name a folder"),
        (["invoke", "x.jpg", "--output", "nowhere/x.png"], "--output nowhere/x.png: there is no folder nowhere"),
        (["run", "images", "--description", "a\nb"], "one line"),
        (["--profile", "nobody", "models", "list"], "(nobody) could not be found: name --region"),
    ],
)
def test_bad_input_gives_one_sentence_with_the_way_out(typed: Mapgate, arguments: list[str], told: str) -> None:
    result = typed(*arguments)

    assert result.returncode == 2, result.stderr
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["executions", "-h"], ["executions", "show", "--help"]])
def test_help_is_given_and_is_no_mistake(typed: Mapgate, words: list[str]) -> None:
    result = typed(*words)

    assert result.returncode == 0
    assert "Usage: mapgate" in result.stdout


def test_a_screen_without_our_signs_shows_the_rest(mapgate: Mapgate) -> None:
    result = mapgate("doctor", PYTHONIOENCODING="ascii")

    assert "region: none is named" in result.stdout
    assert result.stderr == ""


def test_the_version_is_told(typed: Mapgate) -> None:
    result = typed("--version")

    assert (result.returncode, result.stdout) == (0, f"mapgate {version('mapgate')}\n")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(28, "No space left on device", "/data/report.html"),
            "/data/report.html: No space left on device; make",
        ),
        (PermissionError(13, "Permission denied", "/home/.mapgate"), "MAPGATE_HOME says where this command keeps"),
        (FileNotFoundError(2, "No such file or directory", "a.json"), "mapgate: a.json: No such file or directory\n"),
    ],
)
def test_what_a_system_refuses_is_a_sentence_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, told: str
) -> None:
    def refused(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", refused)
    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert told in said
    assert len(said.splitlines()) == 1


def test_a_command_that_is_told_to_type_is_for_the_same_deployment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(**_: object) -> None:
        complaints.command = "mapgate --local --environment prod"
        raise BadInputError("it is not there: run `mapgate images push` in the checkout, or `mapgate local up`")

    monkeypatch.setattr(cli, "app", refused)
    with pytest.raises(SystemExit):
        cli.main()

    assert capsys.readouterr().err == (
        "mapgate: it is not there: run `mapgate --local --environment prod images push` in the checkout, or "
        "`mapgate local up`\n"
    )


def test_the_command_is_repeated_as_it_was_typed(typed: Mapgate) -> None:
    where = ["--endpoint-url", "http://127.0.0.1:1", "--project", "two words"]
    typed(*where, "models", "list")

    assert complaints.command == "mapgate --project 'two words' --endpoint-url http://127.0.0.1:1"


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
        ("run ./images --architecture ssd_mobilenet_v2", []),
        ("model info --architecture ssd_mobilenet_v2", []),
        ("zoo fetch ssd_mobilenet_v2", ["ssd_mobilenet_v2_300x300_open_images"]),
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
        ("--environment ", ["dev", "prod", "staging"]),
        ("executions logs Tra", ["TrainDetector"]),
        ("data check ./images --format ya", []),
        ("data check ./images --format yo", ["yolo"]),
        ("data preview ./images --config ssd_mobilenet_v2_3", ["ssd_mobilenet_v2_320x320"]),
        ("data check ./infr", []),
        ("data check . --decode-check h", ["header"]),
        ("images push --accelerator ", ["cpu", "gpu"]),
        ("run ./images --training-instance-type ml.g5.x", ["ml.g5.xlarge"]),
    ],
)
def test_tab_completes_what_is_known_and_leaves_files_to_the_shell(
    mapgate: Mapgate, typed: str, words: list[str]
) -> None:
    assert _completed(mapgate, typed) == words


@pytest.mark.parametrize("where", ["", "--local ", "--endpoint-url http://127.0.0.1:1 "])
def test_tab_waits_for_no_cloud_that_does_not_answer(mapgate: Mapgate, where: str) -> None:
    assert _completed(mapgate, f"{where}executions show ") == []


def _completed(mapgate: Mapgate, typed: str) -> list[str]:
    position = len(typed.split(" "))
    return mapgate(
        _MAPGATE_COMPLETE="complete_bash", COMP_WORDS=f"mapgate {typed}", COMP_CWORD=str(position)
    ).stdout.split()


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
