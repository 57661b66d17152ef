# SPDX-License-Identifier: Apache-2.0
"""Detectors in Keras 3, described by a TF Object Detection API `pipeline.config`."""
