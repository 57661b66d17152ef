# SPDX-License-Identifier: Apache-2.0
"""COCO metrics, their uncertainty, the quality gate and the report of an evaluation."""
