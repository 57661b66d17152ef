# SPDX-License-Identifier: Apache-2.0
"""The inference image's command that a laptop runs, as a process of its own: `mapgate` needs none of its libraries."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import BadInputError, WorkFailedError


def answers_of(model: Path, pictures: Sequence[Path]) -> list[bytes]:
    """What the real server of a model that lies here answers to pictures, in the built-in algorithm's JSON.

    Args:
        model: A model.tar.gz, or its folder.
        pictures: Encoded images.

    Raises:
        BadInputError: The model cannot be served, or the server refused a picture, in its own words.
        WorkFailedError: No server came up.
    """
    command = [sys.executable, "-m", "inference_src", "answer", str(model), *map(str, pictures)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            answers, said = process.communicate()
        except BaseException:
            process.terminate()  # and no harder: it has a server to stop
            process.communicate()
            raise
    if process.returncode == 0:
        return answers.splitlines()
    *_, sentence = ["the server's process ended without a word", *said.decode(errors="replace").strip().splitlines()]
    if process.returncode == BadInputError.exit_code:
        raise BadInputError(sentence)
    raise WorkFailedError(sentence)
