# SPDX-License-Identifier: Apache-2.0
"""What the inference image runs: the HTTP server (`serve`), and its measurement for the gate (`measure`)."""
