# SPDX-License-Identifier: Apache-2.0
"""The tag names the content: same content, same tag; other content, other tag."""

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest

from containers.tags import IMAGE_NAMES, ImageName, accelerator_of, image_tag, repository_name, sources

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    paths = ["containers/__init__.py", "containers/tags.py", "containers/contract/files.py"]
    for name in IMAGE_NAMES:
        paths += [f"containers/{name}/Dockerfile", f"containers/{name}/requirements.txt", f"{name}_src/a.py"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def test_tag_is_sixteen_hexadecimal_digits_and_repeats(checkout: Path) -> None:
    tag = image_tag(checkout, "training")
    assert len(tag) == 16
    assert set(tag) <= set("0123456789abcdef")
    assert tag == image_tag(checkout, "training") != image_tag(checkout, "inference")


@pytest.mark.parametrize(
    "changed", ["containers/training/Dockerfile", "containers/training/requirements.txt", "training_src/a.py"]
)
def test_every_source_counts_for_its_image_only(checkout: Path, changed: str) -> None:
    before = {name: image_tag(checkout, name) for name in IMAGE_NAMES}
    (checkout / changed).write_text("other")
    assert image_tag(checkout, "training") != before["training"]
    assert image_tag(checkout, "inference") == before["inference"]


@pytest.mark.parametrize("changed", ["containers/contract/files.py", "containers/__init__.py"])
def test_one_changed_byte_of_what_both_images_carry_changes_both_tags(checkout: Path, changed: str) -> None:
    before = {name: image_tag(checkout, name) for name in IMAGE_NAMES}
    content = bytearray((checkout / changed).read_bytes())
    content[-1] ^= 1
    (checkout / changed).write_bytes(content)
    for name in IMAGE_NAMES:
        assert image_tag(checkout, name) != before[name]


def test_what_names_the_images_is_in_neither(checkout: Path) -> None:
    before = {name: image_tag(checkout, name) for name in IMAGE_NAMES}
    (checkout / "containers/tags.py").write_text("other")
    assert {name: image_tag(checkout, name) for name in IMAGE_NAMES} == before


def test_a_rename_changes_the_tag(checkout: Path) -> None:
    before = image_tag(checkout, "training")
    (checkout / "training_src/a.py").rename(checkout / "training_src/b.py")
    assert image_tag(checkout, "training") != before


def test_content_cannot_slip_from_one_file_into_the_next(checkout: Path) -> None:
    room = checkout / "training_src"
    (room / "a.py").write_text("xy")
    (room / "b.py").write_text("z")
    before = image_tag(checkout, "training")
    (room / "a.py").write_text("x")
    (room / "b.py").write_text("yz")
    assert image_tag(checkout, "training") != before


def test_the_inference_image_for_gpus_has_a_tag_of_its_own(checkout: Path) -> None:
    cpu, gpu = image_tag(checkout, "inference"), image_tag(checkout, "inference", "gpu")
    assert gpu == f"{cpu}-gpu"
    assert (accelerator_of(cpu), accelerator_of(gpu)) == ("cpu", "gpu")


def test_by_products_and_the_checkout_s_place_do_not_count(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = image_tag(checkout, "inference")
    cache = checkout / "inference_src" / "__pycache__"
    cache.mkdir()
    (cache / "a.cpython-311.pyc").write_bytes(b"1")
    (checkout / "inference_src" / "b.pyc").write_bytes(b"2")
    (checkout / "inference_src" / ".DS_Store").write_bytes(b"3")
    assert image_tag(checkout, "inference") == before
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "clone"
    shutil.copytree(checkout, elsewhere)
    assert image_tag(elsewhere, "inference") == before


@pytest.mark.parametrize("lost", ["containers/training/Dockerfile", "containers/__init__.py", "containers/contract"])
def test_half_a_checkout_is_refused(checkout: Path, lost: str) -> None:
    (checkout / lost).rename(checkout / "elsewhere")
    with pytest.raises(FileNotFoundError, match=f"{lost}: missing"):
        image_tag(checkout, "training")


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_this_checkout_has_a_tag_over_dockerfile_lock_and_source(name: ImageName) -> None:
    paths = {path.relative_to(ROOT).as_posix() for path in sources(ROOT, name)}
    assert {f"containers/{name}/Dockerfile", f"{name}_src/__main__.py", "containers/contract/files.py"} <= paths
    assert any(path.startswith(f"containers/{name}/requirements") for path in paths)
    assert len(image_tag(ROOT, name)) == 16


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_a_build_is_given_and_copies_all_that_the_tag_names(name: ImageName) -> None:
    folder = ROOT / "containers" / name
    lines = (folder / "Dockerfile").read_text().splitlines()
    copied = [re.sub(r"\$\{.*?}", "*", line.split()[1]) for line in lines if line.startswith("COPY ")]
    given = [line[1:] for line in (folder / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"]
    for path in sources(ROOT, name):
        relative = path.relative_to(ROOT)
        if not path.name.startswith("Dockerfile"):
            for patterns in (copied, given):
                assert any(fnmatch(str(relative), pattern) or relative.is_relative_to(pattern) for pattern in patterns)


def test_repositories_carry_project_and_environment() -> None:
    assert repository_name("mapgate-dev", "training") == "mapgate-dev-training"
