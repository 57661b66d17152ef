# SPDX-License-Identifier: Apache-2.0
"""The one reader of pipeline definitions: their steps, their expressions, and the shapes that calls give arguments.

Whoever runs a definition and whoever only checks one read it by this package, which needs botocore and nothing else.
"""
