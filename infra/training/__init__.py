# SPDX-License-Identifier: Apache-2.0
"""The pipeline, its roles and its functions."""
