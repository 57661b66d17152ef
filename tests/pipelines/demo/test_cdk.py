# SPDX-License-Identifier: Apache-2.0
"""When the demo's deployment takes the assembly of an earlier synth; that the CLI takes it, the whole story shows."""

from __future__ import annotations

from pathlib import Path

from pipelines.demo.cdk import INPUTS, Assembly, inputs


def test_an_assembly_serves_until_its_inputs_change(tmp_path: Path) -> None:
    anew = ["--output", str(tmp_path / "cdk.out")]
    assembly = Assembly(tmp_path / "cdk.out", "as they are")
    assert assembly.options() == anew
    assembly.folder.mkdir()
    (assembly.folder / "manifest.json").write_text("{}")
    assert assembly.options() == anew, "a synth that was killed"

    assembly.record()

    assert assembly.options() == ["--app", str(assembly.folder)]
    assert Assembly(assembly.folder, "changed").options() == anew
    assert assembly.options() == anew, "the other synth may have been killed"


def test_an_assembly_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    assembly = Assembly(tmp_path / "cdk.out", "as they are")
    assembly.record()

    assert assembly.options() == ["--output", str(assembly.folder)]


def test_inputs_are_names_and_contents_without_by_products(tmp_path: Path) -> None:
    (tmp_path / "infra" / "stack").mkdir(parents=True)
    (tmp_path / "infra" / "stack" / "code.py").write_text("a = 1")
    seen = [inputs(tmp_path)]
    (tmp_path / "infra" / "stack" / "__pycache__").mkdir()
    (tmp_path / "infra" / "stack" / "__pycache__" / "code.pyc").write_bytes(b"1")
    (tmp_path / "docs").mkdir()
    assert inputs(tmp_path) == seen[0]

    (tmp_path / "infra" / "stack" / "code.py").write_text("a = 2")
    seen.append(inputs(tmp_path))
    (tmp_path / "infra" / "stack" / "code.py").rename(tmp_path / "infra" / "stack" / "other.py")
    seen.append(inputs(tmp_path))
    (tmp_path / "infra" / "stack" / "more.yaml").write_text("")
    seen.append(inputs(tmp_path))
    (tmp_path / "cdk.json").write_text("{}")
    seen.append(inputs(tmp_path))

    assert len(set(seen)) == len(seen)


def test_environments_of_another_folder_are_inputs_too(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "dev.yaml").write_text("removal: destroy")
    seen = [inputs(tmp_path), inputs(tmp_path, tmp_path / "environments")]
    (tmp_path / "environments" / "gate.yaml").write_text("")
    seen.append(inputs(tmp_path, tmp_path / "environments"))

    assert len(set(seen)) == len(seen)
    anew = Assembly(tmp_path / "cdk.out", "as they are", tmp_path / "environments").options()
    assert anew[-2:] == ["--context", f"environments={tmp_path / 'environments'}"]


def test_inputs_cover_the_checkout() -> None:
    checkout = Path(__file__).resolve().parents[3]

    assert [name for name in INPUTS if not (checkout / name).exists()] == ["cdk.context.json"]
