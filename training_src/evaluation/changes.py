# SPDX-License-Identifier: Apache-2.0
"""What is otherwise in how two models were made: their data, their pipeline.config, their training, their code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from training_src.class_names import one_spelling
from training_src.errors import TextFormatError
from training_src.evaluation.schema import Difference
from training_src.text_format import Message, parse

# Differences of two configs that are told one by one; with more of them it is another config.
MOST_FIELDS = 40
# What a config says of files; the data are compared by their content.
_PLACES = ("train_input_reader", "eval_input_reader", "eval_config", "train_config.fine_tune_checkpoint")
# What follows from the number of steps, which is told by itself.
_STEPS = ("train_config.num_steps", ".total_steps", ".warmup_steps")
_MODEL = "model."


@dataclass(frozen=True)
class Made:
    """How a model was made.

    Attributes:
        description: Its `model.json`.
        pipeline_config: The config that lies beside it; "" where it is not known.
    """

    description: Mapping[str, Any]
    pipeline_config: str = ""


def changes(challenger: Made, champion: Made) -> list[Difference]:
    """What differs, as far as both say it; what only one of them says is no difference.

    Data come first, then config, training and code.
    """
    return [
        *_data(challenger.description, champion.description),
        *_config(challenger, champion),
        *_training(challenger.description, champion.description),
        *_of("code", ("image_digest", "version"), challenger.description, champion.description),
    ]


def _data(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Difference]:
    yield from _of("data", ("sha256",), _table(ours, "dataset"), _table(theirs, "dataset"), "data set")
    names, others = _class_names(ours), _class_names(theirs)
    if names and others:
        new, gone = [name for name in names if name not in others], [name for name in others if name not in names]
        if new or gone:
            yield Difference(what="data", name="classes", champion=", ".join(others), challenger=", ".join(names))
    for split in ("train", "validation"):
        seen, known = _groups(ours, split), _groups(theirs, split)
        if seen is None or known is None or seen == known:
            continue
        yield Difference(
            what="data",
            name=f"groups and images seen in {split}",
            champion=_counted(known, seen),
            challenger=_counted(seen, known),
        )


def _counted(mine: frozenset[str], others: frozenset[str]) -> str:
    return f"{len(mine)}, {len(mine - others)} of them only here"


def _config(challenger: Made, champion: Made) -> Iterator[Difference]:
    ours, theirs = challenger.description, champion.description
    yield from _of("config", ("architecture",), ours, theirs)
    size, other = (_size(_table(one, "input")) for one in (ours, theirs))
    if size and other and size != other:
        yield Difference(what="config", name="input", champion=other, challenger=size)
    fields, others = _fields(challenger.pipeline_config), _fields(champion.pipeline_config)
    if not fields or not others:
        return
    names = [
        name for name in [*fields, *(name for name in others if name not in fields)] if _differs(name, fields, others)
    ]
    same_network = ours.get("architecture") == theirs.get("architecture")
    told = [name for name in names if same_network or not name.startswith(_MODEL)]
    for name in told[:MOST_FIELDS]:
        yield Difference(what="config", name=name, champion=others.get(name), challenger=fields.get(name))
    if rest := len(names) - len(told[:MOST_FIELDS]):
        yield Difference(what="config", name="further fields of pipeline.config", challenger=f"{rest} differ")


def _differs(name: str, fields: Mapping[str, str], others: Mapping[str, str]) -> bool:
    told_elsewhere = name.startswith(_PLACES) or name.endswith(_STEPS)
    return fields.get(name) != others.get(name) and not told_elsewhere


def _training(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Difference]:
    yield from _of("training", ("steps", "best_step", "seed"), _table(ours, "training"), _table(theirs, "training"))
    mine, other = _start(ours), _start(theirs)
    if mine != other:
        yield Difference(what="training", name="started from", champion=other, challenger=mine)


def _start(description: Mapping[str, Any]) -> str:
    """What the weights were at first, in a line that is equal for equal weights."""
    start = _table(description, "initial_checkpoint")
    if not start:
        return "drawn weights"
    digest = str(start.get("archive_sha256") or start.get("index_sha256") or "")[:12]
    return " ".join(part for part in (str(start.get("kind") or ""), str(start.get("name") or ""), digest) if part)


def _of(
    what: Any, names: tuple[str, ...], ours: Mapping[str, Any], theirs: Mapping[str, Any], called: str = ""
) -> Iterator[Difference]:
    """The named facts that both know and that are not equal."""
    for name in names:
        mine, other = ours.get(name), theirs.get(name)
        if isinstance(mine, str | int | float) and isinstance(other, str | int | float) and mine != other:
            yield Difference(what=what, name=called or name.replace("_", " "), champion=other, challenger=mine)


def _table(description: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = description.get(name)
    return found if isinstance(found, Mapping) else {}


def _class_names(description: Mapping[str, Any]) -> list[str]:
    classes = description.get("classes")
    entries = classes if isinstance(classes, list) else []
    return [one_spelling(str(one["name"])) for one in entries if isinstance(one, Mapping) and "name" in one]


def _groups(description: Mapping[str, Any], split: str) -> frozenset[str] | None:
    """None where they are not told, or lie in a file of their own, which is for machines."""
    seen = _table(description, "seen")
    found = None if split in _table(seen, "groups_files") else _table(seen, "groups").get(split)
    return frozenset(map(str, found)) if isinstance(found, list) else None


def _size(given: Mapping[str, Any]) -> str:
    return f"{given['width']} x {given['height']}" if {"width", "height"} <= set(given) else ""


def _fields(text: str) -> dict[str, str]:
    """Every scalar of a config by its path; none where it cannot be read."""
    try:
        return dict(_paths(parse(text), ""))
    except TextFormatError:
        return {}


def _paths(message: Message, prefix: str) -> Iterator[tuple[str, str]]:
    for name, values in message.items():
        for at, value in enumerate(values):
            place = f"{prefix}{name}" + (f"[{at}]" if len(values) > 1 else "")
            if isinstance(value, Message):
                # An empty message is a choice by itself, such as `random_horizontal_flip {}`.
                yield from _paths(value, f"{place}.") if value else [(place, "given")]
            else:
                yield place, str(value)
