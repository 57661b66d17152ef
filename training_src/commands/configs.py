# SPDX-License-Identifier: Apache-2.0
"""`configs`: which pipeline.configs of a folder can be trained here, and why others cannot."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from training_src.errors import BadInputError, MapgateError
from training_src.left_beside import is_foreign
from training_src.models.config.pipeline import load


class Tried(NamedTuple):
    """What came of one config.

    Attributes:
        path: Below the folder.
        loads: Whether it is understood, and, where that was asked for, its detector built.
        sentence: Why not; "" where it loads.
    """

    path: str
    loads: bool
    sentence: str


def run(folder: Path, *, paths: Path | None = None, build: bool = False, json_: bool = False) -> int:
    """Try every *.config of a folder, or those that a file of JSON lines names by `path`, and count what loads."""
    tried = []
    for path in _paths(folder, paths):
        tried.append(_tried(folder, path, build=build))
        if json_:
            print(json.dumps(tried[-1]._asdict()), flush=True)
    if not json_:
        print(table(tried))
    return 0


def table(tried: Sequence[Tried]) -> str:
    """A line for each config that does not load, and the count."""
    refused = [f"{each.path}: {each.sentence}" for each in tried if not each.loads]
    return "\n".join([*refused, f"{len(tried) - len(refused)} of {len(tried)} configs load"])


def _paths(folder: Path, paths: Path | None) -> Iterator[str]:
    if not folder.is_dir():
        raise BadInputError(f"{folder}: there is no such folder; give one that holds *.config files")
    if paths is None:
        files = (file.relative_to(folder) for file in folder.rglob("*.config") if file.is_file())
        found = sorted(str(file) for file in files if not any(map(is_foreign, file.parts)))
        if not found:
            raise BadInputError(f"{folder}: no *.config file is in it, nor below; give another folder")
        yield from found
        return
    for number, line in enumerate(paths.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            yield str(json.loads(line)["path"])
        except (ValueError, KeyError, TypeError):
            raise BadInputError(f'{paths}, line {number}: this is no JSON object with a "path"') from None


def _tried(folder: Path, path: str, *, build: bool) -> Tried:
    try:
        description = load(folder / path, num_classes=1)
        if build:
            # TensorFlow takes seconds, and has something to say.
            from training_src.models.architectures import build_detector

            build_detector(description.config.model)
    except MapgateError as error:
        return Tried(path, False, str(error))
    return Tried(path, True, "")
