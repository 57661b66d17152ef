# SPDX-License-Identifier: Apache-2.0
"""The TensorFlow 2 detection zoo: the architectures by its names, and its checkpoints."""
