# SPDX-License-Identifier: Apache-2.0
"""SageMaker Pipelines: executions of a definition, a step after the other."""
