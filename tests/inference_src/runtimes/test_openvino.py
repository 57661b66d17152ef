# SPDX-License-Identifier: Apache-2.0
"""A server that has loaded models can still be told to stop, and takes pictures from wherever they come."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from inference_src.runtimes.openvino import load

SCRIPT = """
import os, pathlib, signal, sys
from inference_src.runtimes.openvino import load

signal.signal(signal.SIGTERM, lambda *_: print("was told"))
first, second = (load(pathlib.Path(sys.argv[1]), "f32", 1) for _ in range(2))
del first
del second
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_signals_arrive_after_models_have_gone_in_any_order(model_dir: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(model_dir / "runtimes" / "openvino" / "model.xml")]
    checkout = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "was told\n"), done.stderr


def test_pictures_that_may_not_be_written_to_are_answered_alike(model_dir: Path) -> None:
    """Arrays that clients send are views of the body."""
    detector = load(model_dir / "runtimes" / "openvino" / "model.xml", "f32", 1)
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    expected = detector.detect(image).scores
    image.flags.writeable = False
    np.testing.assert_array_equal(detector.detect(image).scores, expected)
    np.testing.assert_array_equal(detector.detect(image[:, ::-1]).scores, expected)
