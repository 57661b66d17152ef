# SPDX-License-Identifier: Apache-2.0
"""`answer`: pictures to the real server of a model that lies here, and what it answers.

The server is started as an endpoint would start it, on a loopback port, and is gone when this ends.
"""

import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from containers.contract.archive import extract
from containers.contract.errors import BadInputError, MapgateError
from inference_src.errors import MeasurementError, ModelError
from inference_src.model import choose_runtime, read_description
from inference_src.server_process import running_server

INTERRUPTED = 130


def answer(model: Path, pictures: Sequence[Path]) -> int:
    """Print a model's answer to each picture: one line of JSON.

    Args:
        model: A model.tar.gz, or the folder that it was extracted into.
        pictures: Encoded images.

    Returns:
        The exit code: 0 done, 1 no server came up, 2 bad input, each but 0 with a sentence on standard error.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server outlives this process
    try:
        with tempfile.TemporaryDirectory(prefix="mapgate-answer-") as root:
            for line in _answers(model, pictures, Path(root)):
                print(line)
    except MapgateError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _answers(model: Path, pictures: Sequence[Path], root: Path) -> Iterator[str]:
    if model.is_dir():
        (root / "model").symlink_to(model.resolve())
    else:
        extract(model, root / "model")
    runtime, precision = _runtime(model, root / "model")
    chosen = {"MAPGATE_RUNTIME": runtime, "MAPGATE_PRECISION": precision}
    with running_server(root, chosen) as server:
        for picture in pictures:
            status, body = server.ask(picture.read_bytes())
            if status != 200:
                sentence = f"{picture}: {_sentence(body)}"
                raise BadInputError(sentence) if 400 <= status < 500 else MeasurementError(sentence)
            yield json.dumps(json.loads(body))


def _runtime(given: Path, folder: Path) -> tuple[str, str]:
    """The runtime and precision by which the model is served here; each finds the same, the first is the fastest.

    The errors name the model as it was given, not where it was extracted.

    Raises:
        ModelError: `model.json` is missing, does not say what it must, or names no runtime that can run here.
    """
    if not (folder / "model.json").is_file():
        raise ModelError(
            f"{given}: there is no model.json in it, so no server can take it; a training's model.tar.gz has one, and "
            "`mapgate model export --artifact` makes one"
        )
    try:
        return choose_runtime(folder, read_description(folder), {})
    except ModelError as error:
        named = str(error).replace(str(folder), str(given))
        raise ModelError(named if str(given) in named else f"{given}: {named}") from error


def _sentence(body: bytes) -> str:
    """What the server says in its JSON."""
    told = body.decode(errors="replace")
    try:
        return str(json.loads(told)["error"])
    except (ValueError, KeyError, TypeError):
        return told
