# SPDX-License-Identifier: Apache-2.0
"""Mutants of a few modules, told by cosmic-ray in a copy of the checkout, so that the checkout stays as it is.

Of each operator cosmic-ray puts every other one into its place; here only the nearest (`<` becomes `<=` and `>`, `+`
becomes `-`), because what a test does not notice of those it seldom notices of the rest. `|` joins types in this code.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
COSMIC_RAY = CHECKOUT / ".venv-mutation" / "bin"
SEED = 17
_FORKS = str(Path(__file__).with_name("forks.py"))
_SOCKET = "../socket"  # beside the copy, in which all commands run: a socket's name may be no longer than 107 bytes
_SECONDS = 120.0
_NEAREST = {
    "Binary": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_FloorDiv Pow_Mul BitAnd_BitOr",
    "Comparison": "Eq_NotEq NotEq_Eq Lt_LtE LtE_Lt Gt_GtE GtE_Gt Lt_Gt Gt_Lt LtE_GtE GtE_LtE Is_IsNot IsNot_Is",
}


@dataclass(frozen=True)
class Target:
    """Modules, the tests that stand nearest to them, and how many mutants are drawn; None takes all."""

    modules: list[str]
    tests: list[str]
    sample: int | None = None


@dataclass(frozen=True, order=True)
class Mutant:
    """One changed line: the module, the line before and after, without indentation."""

    module: str
    line: str
    mutant: str


def read_targets() -> dict[str, Target]:
    """Return the targets by name."""
    text = Path(__file__).with_name("targets.toml").read_text()
    return {name: Target(**fields) for name, fields in tomllib.loads(text).items()}


def read_explained() -> dict[Mutant, str]:
    """Return why each mutant that survives may do so."""
    rows = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text())["survivor"]
    return {Mutant(row["module"], row["line"], row["mutant"]): row["why"] for row in rows}


def tell(target: Target, folder: Path) -> tuple[int, list[Mutant]]:
    """Return how many mutants were told, and those that the tests did not notice.

    Args:
        target: What is mutated.
        folder: An empty folder for the copy.

    Raises:
        subprocess.CalledProcessError: The tests fail without any mutant, or cosmic-ray does.
    """
    copy = folder / "checkout"
    _copy_checkout(copy)
    config, session = folder / "cosmic-ray.toml", folder / "session.sqlite"
    config.write_text(_config(target))
    _run("cosmic-ray", "init", config, session, inside=copy)
    _run("cr-filter-operators", session, config, inside=copy)
    if target.sample is not None:
        _draw(session, target.sample)
    with _serving(target, inside=copy):
        _run("cosmic-ray", "baseline", config, inside=copy)
        _run("cosmic-ray", "exec", config, session, inside=copy)
    return _outcome(_run("cosmic-ray", "dump", session, inside=copy))


def _copy_checkout(copy: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, copy / name)


@contextmanager
def _serving(target: Target, *, inside: Path) -> Iterator[None]:
    """Have forks.py answer with runs of the tests."""
    tests = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", f"--hypothesis-seed={SEED}", *target.tests]
    command = [sys.executable, "-P", _FORKS, "serve", _SOCKET, *tests]
    with subprocess.Popen(command, cwd=inside, env=_environment(inside), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise subprocess.CalledProcessError(process.wait(), command)
            yield
        finally:
            process.terminate()


def _config(target: Target) -> str:
    ask = [sys.executable, "-I", "-S", _FORKS, "ask", _SOCKET]
    filters = [f"core/Replace{kind}Operator_(?!({nearest.replace(' ', '|')})$)" for kind, nearest in _NEAREST.items()]
    return "\n".join(
        [
            "[cosmic-ray]",
            f"module-path = {json.dumps(target.modules)}",
            f"timeout = {_SECONDS}",
            "excluded-modules = []",
            f"test-command = {json.dumps(shlex.join(ask))}",
            "[cosmic-ray.distributor]",
            'name = "local"',
            "[cosmic-ray.filters.operators-filter]",
            f"exclude-operators = {json.dumps(filters)}",
        ]
    )


def _run(command: str, *arguments: str | Path, inside: Path) -> str:
    return subprocess.run(
        [COSMIC_RAY / command, *arguments],
        cwd=inside, env=_environment(inside), stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip


def _environment(inside: Path) -> dict[str, str]:
    # What this run of pytest was told is nothing to the tests' own.
    dropped = ("PYTEST_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "PYTHONPATH": str(inside), "PYTHONHASHSEED": "0"}


def _draw(session: Path, sample: int) -> None:
    """Keep `sample` of the mutants that are still to be told."""
    tables = ("mutation_specs", "work_results", "work_items")
    with closing(sqlite3.connect(session)) as database, database:
        told = "SELECT job_id FROM work_results"
        order = "module_path, start_pos_row, start_pos_col, operator_name, occurrence"
        rows = database.execute(f"SELECT job_id FROM mutation_specs WHERE job_id NOT IN ({told}) ORDER BY {order}")
        jobs = [job for (job,) in rows]
        drawn = set(random.Random(SEED).sample(jobs, min(sample, len(jobs))))
        for table in tables:
            database.executemany(f"DELETE FROM {table} WHERE job_id = ?", [(job,) for job in jobs if job not in drawn])


def _outcome(dump: str) -> tuple[int, list[Mutant]]:
    told, survivors = 0, []
    for line in dump.splitlines():
        item, result = json.loads(line)
        if result["worker_outcome"] == "skipped":
            continue
        mutant = _mutant(item["mutations"][0]["module_path"], result["diff"])
        if mutant.line.startswith("@dataclass(") or mutant.line.replace("*,", "/,") == mutant.mutant:
            continue  # how a call may be written is mypy's to notice: `frozen`, `kw_only` and the star before names
        if mutant.line == "if TYPE_CHECKING:":
            continue  # the stubs are installed here; test_asset.py imports the asset as Lambda does, without them
        told += 1
        if result["test_outcome"] == "survived":
            survivors.append(mutant)
    return told, sorted(survivors)


def _mutant(module: str, diff: str) -> Mutant:
    changes = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    before, after = (" ".join(line[1:].strip() for line in changes if line[0] == sign) for sign in "-+")
    return Mutant(module, before, after)
