# SPDX-License-Identifier: Apache-2.0
"""Weights in files: ours, the detection zoo's, and those of TensorFlow 1."""
