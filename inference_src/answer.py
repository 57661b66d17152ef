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
from inference_src.model import ModelDescription, read_description
from inference_src.server_process import running_server

# The first that a model has: each finds the same, the first is the fastest.
RUNTIMES = ("openvino", "tensorflow")
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
    description = _description(model, root / "model")
    runtime = next((name for name in RUNTIMES if name in description.runtimes), next(iter(description.runtimes)))
    chosen = {"MAPGATE_RUNTIME": runtime, "MAPGATE_PRECISION": description.runtimes[runtime].precisions[0]}
    with running_server(root, chosen) as server:
        for picture in pictures:
            status, body = server.ask(picture.read_bytes())
            if status != 200:
                sentence = f"{picture}: {_sentence(body)}"
                raise BadInputError(sentence) if 400 <= status < 500 else MeasurementError(sentence)
            yield json.dumps(json.loads(body))


def _description(given: Path, folder: Path) -> ModelDescription:
    """What `model.json` says; the errors name the model as it was given, not where it was extracted.

    Raises:
        ModelError: The file is missing or does not say what it must.
    """
    if not (folder / "model.json").is_file():
        raise ModelError(
            f"{given}: there is no model.json in it, so no server can take it; a training's model.tar.gz has one, and "
            "`mapgate model export --artifact` makes one"
        )
    try:
        return read_description(folder)
    except ModelError as error:
        raise ModelError(str(error).replace(str(folder), str(given))) from error


def _sentence(body: bytes) -> str:
    """What the server says in its JSON."""
    told = body.decode(errors="replace")
    try:
        return str(json.loads(told)["error"])
    except (ValueError, KeyError, TypeError):
        return told
