# SPDX-License-Identifier: Apache-2.0
"""XML without document types and entities: those are how a small file becomes gigabytes, or reads other files."""

from __future__ import annotations

from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from training_src.data.formats.fields import AnnotationError


def parse(content: bytes) -> Element:
    """The root of a document.

    Raises:
        AnnotationError: It is no XML, or declares a document type.
    """
    if not content.strip():
        raise AnnotationError("annotation", "is empty; export it again")
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except AnnotationError:
        raise
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:
        raise AnnotationError("annotation", f"is no XML: {error}; export it again") from None


def _refuse(*_: object) -> NoReturn:
    raise AnnotationError("annotation", "declares a document type (DOCTYPE); remove it")
