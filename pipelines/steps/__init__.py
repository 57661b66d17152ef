# SPDX-License-Identifier: Apache-2.0
"""The steps of the pipeline, a module a step. Only these modules and `pipelines.definition` need the SageMaker SDK."""
