# SPDX-License-Identifier: Apache-2.0
"""PNG to pixels as TensorFlow's decoder gives them: grey spread, palettes looked up, alpha dropped, 16 bits cut to 8.

Rows are inflated and put together band by band, so that beside the picture itself little is in memory. Of a row only
the bytes that are wanted are kept: a filter joins a byte with those of the same place in the pixels beside and above,
so alpha and the lower halves of 16 bits can be left out beforehand, and what remains is grey or RGB of 8 bits.
Source: https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from containers.contract.picture_header import BrokenHeaderError, png_chunks
from inference_src.picture_memory import aligned

Bytes = NDArray[np.uint8]

_BAND_BYTES, _BAND_ROWS = 1 << 21, 1 << 14
_PIECE = 1 << 16
_GREY, _COLOUR, _PALETTE = 0, 2, 3
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First row and column, and the steps to the next: https://www.w3.org/TR/png-3/#8Interlace
_ONE_PASS = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


class BrokenPngError(ValueError):
    """What is wrong, as `it ...`."""


def decode_png(encoded: bytes) -> Bytes:
    """Decode a PNG whose size was judged already; of an animated one its still picture.

    Returns:
        Shape [height, width, 3], red, green, blue, as stored.

    Raises:
        BrokenPngError: It is damaged, truncated, or no PNG by the standard.
    """
    kind, palette, parts = _read(encoded)
    picture = aligned((kind.height, kind.width, 3))
    inflated = _Inflated(parts)
    for top, left, down, across in _ADAM7 if kind.interlaced else _ONE_PASS:
        view = picture[top::down, left::across]
        if view.size:
            _decode_pass(inflated, kind, palette, view)
    return picture


@dataclass(frozen=True)
class _Kind:
    """IHDR."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: int

    @property
    def wanted(self) -> int:
        """Channels that are decoded: of colours three, else one."""
        return 3 if self.colour & _COLOUR and self.colour != _PALETTE else 1


def _read(encoded: bytes) -> tuple[_Kind, Bytes, list[memoryview]]:
    """The header, the palette [256, 3] (the grey scale where there is none) and the compressed pixels."""
    if len(encoded) < 33 or encoded[12:16] != b"IHDR":
        raise BrokenPngError("it has no header")
    width, height, depth, colour, compression, filtering, interlaced = struct.unpack_from(">IIBBBBB", encoded, 16)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlaced > 1:
        raise BrokenPngError(f"it has a header that the standard does not know (colour type {colour}, {depth} bits)")
    view, last, parts, colours = memoryview(encoded), b"", [], b""
    try:
        for last, start, end in png_chunks(encoded):
            critical = not last[0] & 0x20
            if critical and zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4]):
                raise BrokenPngError("it has a chunk whose checksum does not fit")
            if last == b"PLTE":
                colours = bytes(view[start:end])
            elif last == b"IDAT":
                parts.append(view[start:end])
    except BrokenHeaderError as error:
        raise BrokenPngError(f"it {error}") from error
    if last != b"IEND":
        raise BrokenPngError("it is cut off")
    if colour == _PALETTE and not colours:
        raise BrokenPngError("it has no palette")
    return _Kind(width, height, depth, colour, interlaced), _palette(colours, depth, colour), parts


def _palette(colours: bytes, depth: int, colour: int) -> Bytes:
    """What a sample of up to 8 bits becomes; beyond a palette's end black."""
    palette = np.zeros((256, 3), np.uint8)
    if colour == _PALETTE:
        known = np.frombuffer(colours[: min(len(colours) // 3, 256) * 3], np.uint8).reshape(-1, 3)
        palette[: len(known)] = known
    else:
        levels = 1 << min(depth, 8)
        palette[:levels] = (np.arange(levels) * (255 // (levels - 1)))[:, np.newaxis]
    return palette


class _Inflated:
    """The decompressed bytes, as many at a time as are asked for."""

    def __init__(self, parts: list[memoryview]) -> None:
        self._pieces = (part[at : at + _PIECE] for part in parts for at in range(0, len(part), _PIECE))
        self._rest = b""
        self._inflate = zlib.decompressobj()

    def read(self, count: int) -> bytes:
        """So many bytes.

        Raises:
            BrokenPngError: There are not so many.
        """
        found = bytearray()
        try:
            while len(found) < count:
                piece = self._rest or next(self._pieces, b"")
                grown = self._inflate.decompress(piece, count - len(found))
                self._rest = self._inflate.unconsumed_tail
                if not grown and (not piece or self._inflate.eof):
                    raise BrokenPngError("it has fewer pixels than its header says")
                found += grown
        except zlib.error as error:
            raise BrokenPngError(f"it cannot be decompressed ({error})") from error
        return bytes(found)


def _decode_pass(inflated: _Inflated, kind: _Kind, palette: Bytes, view: Bytes) -> None:
    """Decode a picture's rows, or those of one pass of an interlaced one, into a view [height, width, 3]."""
    height, width = view.shape[:2]
    length = (width * _CHANNELS[kind.colour] * kind.depth + 7) // 8 + 1
    step = max(1, min(_BAND_ROWS, _BAND_BYTES // length))
    above = np.zeros(0, np.uint8)
    for start in range(0, height, step):
        count = min(step, height - start)
        rows = np.frombuffer(inflated.read(count * length), np.uint8).reshape(count, length)
        wanted = _wanted(rows[:, 1:], kind, width)
        samples = _unfiltered(rows[:, 0], wanted, above, kind.wanted)
        above = samples[-1].copy()
        band = view[start : start + count]
        if kind.wanted == 3:
            band[:] = samples.reshape(count, width, 3)
        elif kind.depth < 8 or kind.colour == _PALETTE:
            band[:] = palette[_unpacked(samples, kind.depth)[:, :width]]
        else:
            band[:] = samples[:, :, np.newaxis]


def _wanted(rows: Bytes, kind: _Kind, width: int) -> Bytes:
    """The still filtered bytes [rows, bytes] that become pixels."""
    if kind.depth < 8 or (kind.depth == 8 and _CHANNELS[kind.colour] == kind.wanted):
        return rows
    size = kind.depth // 8
    pixels = rows.reshape(len(rows), width, _CHANNELS[kind.colour] * size)
    return pixels[:, :, : kind.wanted * size : size].reshape(len(rows), -1)


def _unfiltered(filters: Bytes, rows: Bytes, above: Bytes, pixel: int) -> Bytes:
    """Undo the rows' filters, by a stream of its own that begins with the row above them.

    Args:
        filters: Shape [rows], the type of each.
        rows: Shape [rows, bytes].
        above: Shape [bytes], the row above, unfiltered; empty: there is none.
        pixel: Bytes a pixel, 1 or 3.
    """
    if not filters.any():
        return rows
    count, length = rows.shape
    stream = np.zeros((count + 1, length + 1), np.uint8)
    stream[0, 1:] = above if above.size else 0
    stream[1:, 0], stream[1:, 1:] = filters, rows
    mode = "RGB" if pixel == 3 else "L"
    try:
        picture = Pillow.frombytes(mode, (length // pixel, count + 1), zlib.compress(stream.data, 0), "zip", mode, 0)
    except (ValueError, OSError) as error:
        raise BrokenPngError(f"it has a row that cannot be decoded ({error})") from error
    return np.asarray(picture).reshape(count + 1, length)[1:]


def _unpacked(samples: Bytes, depth: int) -> Bytes:
    """One sample a byte, of bytes that hold several, the first in the highest bits."""
    if depth == 8:
        return samples
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    spread: Bytes = (samples[:, :, np.newaxis] >> shifts & ((1 << depth) - 1)).astype(np.uint8)
    return spread.reshape(len(samples), -1)
