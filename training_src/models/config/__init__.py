# SPDX-License-Identifier: Apache-2.0
"""The OD API's `pipeline.config` as typed dataclasses, with the defaults of its protos.

Fields carry the names of `object_detection/protos/*.proto`; a module stands for a proto file.
"""
