# SPDX-License-Identifier: Apache-2.0
"""The SageMaker Pipeline, the `mapgate` command, and the laptop's cloud."""
