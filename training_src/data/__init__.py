# SPDX-License-Identifier: Apache-2.0
"""Labelled images: read from the layouts that people have, checked, split, and written as TFRecord shards."""
