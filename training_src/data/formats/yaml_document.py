# SPDX-License-Identifier: Apache-2.0
"""YAML of plain texts, lists and mappings: no tags, no anchors, so that nothing small becomes large.

Every scalar stays the text that was written: a class may be called `no`, `1.0` or `2020-01-01`.
"""

from __future__ import annotations

from typing import Any

import yaml

from training_src.data.formats.fields import AnnotationError

LARGEST = 1 << 20


class _Loader(yaml.BaseLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) is not allowed")
        return super().compose_node(parent, index)


def parse(text: str) -> dict[str, Any]:
    """The mapping that a document holds.

    Raises:
        AnnotationError: It is no YAML, no mapping, or uses aliases.
    """
    try:
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        sentence = " ".join(str(error).split())[:200]
        raise AnnotationError("annotation", f"is no YAML: {sentence}") from None
    except RecursionError:
        raise AnnotationError("annotation", "is no YAML: it nests too deeply") from None
    if not isinstance(content, dict):
        raise AnnotationError("annotation", "holds no mapping of keys to values")
    return content
