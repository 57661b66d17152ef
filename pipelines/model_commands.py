# SPDX-License-Identifier: Apache-2.0
"""`mapgate model`: what a pipeline.config and a checkpoint make, looked at without a cloud."""

from __future__ import annotations

import typer

app = typer.Typer(
    no_args_is_help=True, help="Detectors from a pipeline.config and a checkpoint: info, outputs, export."
)
