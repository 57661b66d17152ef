# SPDX-License-Identifier: Apache-2.0
"""The names of the two container images: which repository holds them, and which tag their content has.

The tag is the hash of everything that the image is built from, so a template can name an image that nobody has built
yet, and equal sources never make two tags. The standard library is enough, and nothing is asked of docker or AWS.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

ImageName = Literal["training", "inference"]
IMAGE_NAMES: tuple[ImageName, ...] = get_args(ImageName)
Accelerator = Literal["cpu", "gpu"]
_ON_GPUS = "-gpu"


def repository_name(prefix: str, name: ImageName) -> str:
    """Name the ECR repository of an image: `mapgate-dev` and `training` give `mapgate-dev-training`."""
    return f"{prefix}-{name}"


def image_tag(root: Path, name: ImageName, accelerator: Accelerator = "cpu") -> str:
    """Name the content of an image: 16 hexadecimal digits that change when, and only when, its sources change.

    Args:
        root: The repository's root.
        name: Which image; its sources are `containers/<name>/` (Dockerfile, locked requirements), `<name>_src/` and
            `containers/contract/`, which both carry.
        accelerator: Of the inference image, which serves on GPUs with other libraries, and so under another tag; the
            training image has one tag, and is built for what its jobs run on.

    Returns:
        The first 16 digits of a sha256 over the sorted relative paths and contents, and `-gpu` for GPUs.

    Raises:
        FileNotFoundError: A source folder or the Dockerfile is missing, so the tag would name something else.
    """
    return content_digest(root, sources(root, name))[:16] + (_ON_GPUS if accelerator == "gpu" else "")


def accelerator_of(tag: str) -> Accelerator:
    """What an inference image's tag says that it is built for."""
    return "gpu" if tag.endswith(_ON_GPUS) else "cpu"


def sources(root: Path, name: ImageName) -> list[Path]:
    """List the files that an image is built from, in the order of their paths relative to the root.

    Raises:
        FileNotFoundError: A source folder or the Dockerfile is missing.
    """
    build, package = root / "containers" / name, root / "containers" / "__init__.py"
    folders = [build, root / "containers" / "contract", root / f"{name}_src"]
    for needed in [*folders, build / "Dockerfile", package]:
        if not needed.exists():
            raise FileNotFoundError(f"{needed}: missing, so the {name} image has no tag; start in a whole checkout")
    files = [package, *(path for folder in folders for path in source_files(folder))]
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


def content_digest(root: Path, files: Iterable[Path]) -> str:
    """The sha256 of the files' paths, relative to the root, and contents, in the order in which they are given."""
    digest = hashlib.sha256()
    for path in files:
        for part in (path.relative_to(root).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def source_files(folder: Path) -> Iterator[Path]:
    """Every file below a folder that is no by-product of running what lies there."""
    for path in folder.rglob("*"):
        if path.is_file() and not _is_by_product(path.relative_to(folder)):
            yield path


def _is_by_product(path: Path) -> bool:
    return path.suffix == ".pyc" or path.name == ".DS_Store" or "__pycache__" in path.parts
