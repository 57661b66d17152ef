# SPDX-License-Identifier: Apache-2.0
"""What the inference image runs: the HTTP server (`serve`), and its measurement for the gate (`measure`)."""

import os

# NumPy's OpenBLAS starts a thread a core when it is imported, which wait in a busy loop; nothing here needs them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
