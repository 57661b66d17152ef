# SPDX-License-Identifier: Apache-2.0
"""The model card of a registered version, written from its evaluation."""

from .content import RegisteredVersion, model_card, model_card_content

__all__ = ["RegisteredVersion", "model_card", "model_card_content"]
