# SPDX-License-Identifier: Apache-2.0
"""The training loop: input, optimizer, checkpoints, validation."""
