# SPDX-License-Identifier: Apache-2.0
"""`graph_rewriter.proto`: in TF1 it trained with simulated quantization; here it selects an int8 export."""

from dataclasses import dataclass
from typing import ClassVar

from training_src.models.config.decoding import only


@dataclass(frozen=True, kw_only=True)
class Quantization:
    # When the simulation would have begun, and how it would have rounded.
    ACCEPTED: ClassVar = frozenset({"delay", "symmetric"})
    weight_bits: int = only(8)
    activation_bits: int = only(8)


@dataclass(frozen=True, kw_only=True)
class GraphRewriter:
    quantization: Quantization | None = None
