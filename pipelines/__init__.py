# SPDX-License-Identifier: Apache-2.0
"""The SageMaker Pipeline, and the `mapgate` command that talks to a deployment of it."""
