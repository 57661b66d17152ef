# SPDX-License-Identifier: Apache-2.0
"""A command's line, made from the signature of its function.

`run(folder: Path, *, report: Path | None = None, fix: bool = False)` is called by `folder [--report REPORT] [--fix]`:
what may be given by position stands without a name, what is keyword-only is an option, and a bool is a switch.
`Annotated[str, NAMES]` takes one of `NAMES`, a `Literal` one of its own. An underscore at a name's end keeps the name
apart from Python's own.
"""

import argparse
import errno
import inspect
import sys
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin

from training_src.errors import BadInputError, DataError, MapgateError


def call(command: Callable[..., int], name: str, words: Sequence[str]) -> int:
    """Call a command with the words that were typed after its name; returns its exit code.

    Words that are no line of the command, errors of ours, and files that cannot be read or written are a sentence each
    on the standard error.
    """
    given = parser_of(command, name).parse_args(words)
    try:
        return command(**vars(given))
    except OSError as error:
        if error.strerror is None:
            raise  # not the system's: a fault of the program keeps its traceback
        way_out = "make room" if error.errno == errno.ENOSPC else "name another"
        print(f"{error.filename or name}: {error.strerror}; {way_out}", file=sys.stderr)
        return BadInputError.exit_code
    except MapgateError as error:
        sentences = error.sentences if isinstance(error, DataError) else [str(error)]
        print(*sentences, sep="\n", file=sys.stderr)
        return error.exit_code


def parser_of(command: Callable[..., int], name: str) -> argparse.ArgumentParser:
    """The parser of a command; each argument goes where the parameter of its name is."""
    parser = _Parser(prog=f"python -m training_src {name}", description=inspect.getdoc(command))
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        _add(parser, parameter)
    return parser


class _Parser(argparse.ArgumentParser):
    """A refusal is one sentence, as every other."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _add(parser: argparse.ArgumentParser, parameter: inspect.Parameter) -> None:
    word = parameter.name.strip("_").replace("_", "-")
    kind, choices = _type(parameter.annotation)
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    if parameter.kind is not parameter.KEYWORD_ONLY:
        nargs = None if required else "?"
        parser.add_argument(parameter.name, metavar=word, type=kind, choices=choices, nargs=nargs, default=default)
    elif kind is bool:
        parser.add_argument(f"--{word}", dest=parameter.name, action="store_true")
    else:
        parser.add_argument(
            f"--{word}", dest=parameter.name, type=kind, choices=choices, required=required, default=default
        )


def _type(annotation: Any) -> tuple[Callable[[str], Any], Sequence[str] | None]:
    """What makes the value of a word, and the words that may be given."""
    choices = None
    if get_origin(annotation) is Annotated:
        annotation, choices = get_args(annotation)
    alternatives = get_args(annotation)
    if NoneType in alternatives:
        (annotation,) = (kind for kind in alternatives if kind is not NoneType)
    return (str, get_args(annotation)) if get_origin(annotation) is Literal else (annotation, choices)
