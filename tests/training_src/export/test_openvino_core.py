# SPDX-License-Identifier: Apache-2.0
"""A process that has compiled models can still be told to stop."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal
import numpy as np, openvino as ov
from openvino import opset13 as ops
from training_src.export.openvino_core import core

def compiled():
    parameter = ops.parameter([1, 3], np.float32)
    return core().compile_model(ov.Model([ops.result(ops.relu(parameter))], [parameter], "model"), "CPU")

signal.signal(signal.SIGTERM, lambda *_: print("was told"))
first, second = compiled(), compiled()
del first
del second
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_signals_arrive_after_models_have_gone_in_any_order() -> None:
    checkout = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=checkout, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "was told\n"), done.stderr
