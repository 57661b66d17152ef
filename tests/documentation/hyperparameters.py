# SPDX-License-Identifier: Apache-2.0
"""A training job's hyperparameters, each kind a table."""

from tests.documentation import table
from training_src.training.hyperparameters import BuiltIn, ForeignNames, Hyperparameters, OwnNames, Settings, wanted

KINDS: tuple[type[Hyperparameters], ...] = (Settings, OwnNames, ForeignNames, BuiltIn)


def reference() -> str:
    """Return a heading and a table for each kind."""
    return "".join(_section(kind) for kind in KINDS)


def _section(kind: type[Hyperparameters]) -> str:
    inherited = {name for base in kind.__mro__[1:] for name in getattr(base, "model_fields", {})}
    rows = [
        [f"`{name}`", wanted(kind, name), _default(field.default), field.description or ""]
        for name, field in kind.model_fields.items()
        if name not in inherited
    ]
    purpose = (kind.__doc__ or "").strip()
    return f"\n### `{kind.__name__}`\n\n{purpose}\n\n{table(('name', 'takes', 'default', 'meaning'), rows)}"


def _default(value: object) -> str:
    return "none" if value in (None, "") else f"`{str(value).lower() if isinstance(value, bool) else value}`"
