# SPDX-License-Identifier: Apache-2.0
"""The pipeline's parameters: as the committed definition has them, and as `pipelines/parameters.py` explains them."""

import ast
import json
import re
from pathlib import Path

from tests.documentation import table

PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"


def reference() -> str:
    """Return the table."""
    explained = meanings()
    rows = [
        [f"`{name}`", parameter["Type"], _default(parameter.get("DefaultValue")), explained[name]]
        for parameter in json.loads((PIPELINES / "definition.json").read_text())["Parameters"]
        for name in [parameter["Name"]]
    ]
    return f"\n{table(('parameter', 'type', 'default', 'meaning'), rows)}"


def meanings() -> dict[str, str]:
    """Return what the attributes of `Parameters` mean, by SageMaker's names; the SDK is not needed to read them."""
    tree = ast.parse((PIPELINES / "parameters.py").read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    text = ast.get_docstring(classes["Parameters"]) or ""
    found = re.findall(r"^    (\w+): ((?:.|\n {8})+)$", text, flags=re.MULTILINE)
    return {_pascal(name): " ".join(meaning.split()) for name, meaning in found}


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _default(value: object) -> str:
    if value is None:
        return "must be given"
    # The environment's own bucket is bound at synth.
    return f"`{value}`".replace("unbound-data-bucket", "<data bucket>")
