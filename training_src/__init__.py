# SPDX-License-Identifier: Apache-2.0
"""What runs in the training image: an entry point a step, and the library below them."""

import os

# NumPy's OpenBLAS starts a thread a core when it is imported, which wait in a busy loop: a tenth of a second of every
# core, and threads that no process should have that forks. Nothing here multiplies large matrices outside TensorFlow.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# TensorFlow speaks in C++, before any setting of Python's can reach it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
