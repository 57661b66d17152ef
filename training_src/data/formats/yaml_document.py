# SPDX-License-Identifier: Apache-2.0
"""YAML of plain texts, lists and mappings: no tags, and of anchors no more than a person writes; no key twice.

Every scalar stays the text that was written: a class may be called `no`, `1.0` or `2020-01-01`. What aliases repeat is
counted, so that nothing small becomes large.
"""

from __future__ import annotations

from typing import Any

import yaml

from training_src.data.formats.fields import AnnotationError, shown

LARGEST = 1 << 20
_MERGE = "<<"


# All that a document holds once its aliases are followed: texts, lists and mappings.
LARGEST_EXPANDED = 100_000


class _Loader(yaml.BaseLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        node.value = [*_merged(node), *((key, value) for key, value in node.value if key.value != _MERGE)]
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in lines:
                where = f'has the key "{shown(key.value)}" twice, in lines {lines[key.value]} and {line}'
                raise AnnotationError("annotation", f"{where}; keep one of them")
            lines[key.value] = line
        return super().construct_mapping(node, deep)


def _merged(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """The pairs that `<<: *base` takes from other mappings, those that the mapping says itself left out."""
    own = {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
    found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key, value in node.value:
        if key.value == _MERGE:
            for base in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(base, yaml.MappingNode):
                    raise AnnotationError(
                        "annotation", f"has `<<:` in line {key.start_mark.line + 1} without a mapping"
                    )
                for pair in base.value:
                    if isinstance(pair[0], yaml.ScalarNode) and pair[0].value not in own and pair[0].value != _MERGE:
                        found.setdefault(pair[0].value, pair)
    return list(found.values())


def _expanded(value: Any, sizes: dict[int, int]) -> int:
    """How many texts, lists and mappings a value is, what aliases repeat counted each time."""
    if not isinstance(value, list | dict):
        return 1
    if id(value) not in sizes:
        parts = value if isinstance(value, list) else [*value, *value.values()]
        sizes[id(value)] = 1 + sum(_expanded(part, sizes) for part in parts)
    return sizes[id(value)]


def parse(text: str, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The mapping that a document holds, an empty one where it may hold nothing.

    Raises:
        AnnotationError: It is no YAML, no mapping, has a key twice, or becomes huge where its aliases are followed.
    """
    try:
        content = yaml.load(text, _Loader)
        if _expanded(content, {}) > LARGEST_EXPANDED:
            raise AnnotationError("annotation", "becomes far too large where its aliases (*name) are followed")
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
