# SPDX-License-Identifier: Apache-2.0
"""XML without document types and entities: those are how a small file becomes gigabytes, or reads other files."""

from __future__ import annotations

import codecs
import re
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from training_src.data.formats.fields import AnnotationError, shown

_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\bencoding\s*=\s*["'](?P<encoding>[A-Za-z0-9._-]+)["'][^>]*\?>""")
# What Python decodes and no document is written in; some of these take the square of a text's length.
_PYTHONS_OWN = ("idna", "mbcs", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")
_EXPATS_OWN = ("utf-8", "utf8", "utf-16", "iso-8859-1", "us-ascii", "ascii")


def parse(content: bytes) -> Element:
    """The root of a document.

    Raises:
        AnnotationError: It is no XML, or declares a document type.
    """
    if not content.strip():
        raise AnnotationError("annotation", "is empty; export it again")
    content = _readable(content)
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


def _readable(content: bytes) -> bytes:
    """The same document in UTF-8 where it declares an encoding of several bytes a letter, which expat does not know."""
    found = _DECLARED.match(content)
    encoding = found["encoding"].decode("ascii", "replace").lower() if found else ""
    if not found or encoding in _EXPATS_OWN:
        return content
    try:
        if codecs.lookup(encoding).name in _PYTHONS_OWN:
            raise LookupError
        text = content.decode(encoding)
    except LookupError:
        raise AnnotationError("annotation", f'is no XML: unknown encoding "{shown(encoding)}"; save as UTF-8') from None
    except UnicodeDecodeError as error:
        rest = f"says that it is {shown(encoding)}, and is not (byte {error.start}); save it as UTF-8"
        raise AnnotationError("annotation", rest) from None
    except UnicodeError:
        raise AnnotationError("annotation", f"says that it is {shown(encoding)}, and is not; save as UTF-8") from None
    return b'<?xml version="1.0" encoding="utf-8"?>' + text[found.end() :].encode("utf-8", "replace")


def _refuse(*_: object) -> NoReturn:
    raise AnnotationError("annotation", "declares a document type (DOCTYPE); remove it")
