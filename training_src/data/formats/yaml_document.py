# SPDX-License-Identifier: Apache-2.0
"""YAML of plain texts, lists and mappings: no tags, no anchors, so that nothing small becomes large; no key twice.

Every scalar stays the text that was written: a class may be called `no`, `1.0` or `2020-01-01`.
"""

from __future__ import annotations

from typing import Any

import yaml

from training_src.data.formats.fields import AnnotationError, shown

LARGEST = 1 << 20


class _Loader(yaml.BaseLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) is not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in lines:
                where = f'has the key "{shown(key.value)}" twice, in lines {lines[key.value]} and {line}'
                raise AnnotationError("annotation", f"{where}; keep one of them")
            lines[key.value] = line
        return super().construct_mapping(node, deep)


def parse(text: str, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The mapping that a document holds, an empty one where it may hold nothing.

    Raises:
        AnnotationError: It is no YAML, no mapping, uses aliases, or has a key twice.
    """
    try:
        content = yaml.load(text, _Loader)
    except AnnotationError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        sentence = " ".join(str(error).split())[:200]
        raise AnnotationError("annotation", f"is no YAML: {sentence}") from None
    except RecursionError:
        raise AnnotationError("annotation", "is no YAML: it nests too deeply") from None
    if content is None and may_be_empty:
        return {}
    if not isinstance(content, dict):
        raise AnnotationError("annotation", "holds no mapping of keys to values")
    return content
