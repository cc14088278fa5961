"""Reading gzip in large pieces: `gzip.GzipFile` with half its cost, and with the same care.

Python's own reader asks zlib for 8 kB at a time, checks each piece a second time in Python and copies it twice; for a scan of
84 MB that costs as much as the decompression itself. Here zlib gets 64 kB at a time and checks CRC-32 and length of each
member itself (wbits 31). Members that follow one another are joined, zeros between and behind them are skipped, as RFC 1952
and gzip have it.
"""

from __future__ import annotations

import io
import zlib
from typing import Any, BinaryIO

GZIP = 16 + zlib.MAX_WBITS
PIECE = 1 << 16
MOST = 1 << 20  # bytes decompressed at once: a bomb fills no more than this before somebody asks for the next


class Inflated(io.RawIOBase):
    """The decompressed bytes of a gzip stream, read once from begin to end.

    Raises zlib.error for damage (a wrong checksum, a wrong length, no gzip header), EOFError where the stream is cut short.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._member = zlib.decompressobj(GZIP)
        self._begun = False  # whether the member has had a byte
        self._rest = b""  # compressed, not yet used
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        while not self._ready and self._more():
            pass
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _more(self) -> bool:
        """Decompress another piece (which may give nothing yet); False at the end of the stream."""
        if self._member.eof:
            self._rest, self._begun = self._member.unused_data, False
            self._member = zlib.decompressobj(GZIP)
        data, self._rest = self._rest or self._packed.read(PIECE), b""
        if not data and not self._begun:
            return False
        if not self._begun:
            data = data.lstrip(b"\0")
        self._begun = self._begun or bool(data)
        if not self._begun:
            return True  # zeros between members
        self._ready = memoryview(self._member.decompress(data, MOST))
        self._rest = self._member.unconsumed_tail
        if not (data or self._ready or self._member.eof):
            raise EOFError("the compressed data end before their end-of-stream marker")
        return True
