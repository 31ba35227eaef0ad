"""gguf's own reader of GGUF files, but lists in a moment: it makes two arrays of each of 100,000 tokens and merges.

That takes two seconds and 150 MB. Here a list of numbers is one array, and texts are views of the file; `contents()`
says the same of both. Should gguf one day name its method otherwise, then this one is never called.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import Any

from gguf import GGUFReader, GGUFValueType


class Reader(GGUFReader):
    """`GGUFReader`, its lists read at once."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], Sequence[int], list[Any]]:
        """The bytes that a value takes, its parts, which of them are its content, and its types."""
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        swapped = ">" if sys.byteorder == "little" else "<"
        order = "=" if self.byte_order == "I" else swapped
        inner, length = struct.unpack_from(f"{order}IQ", self.data, orig_offs)
        begin = orig_offs + 12
        types = [GGUFValueType.ARRAY, GGUFValueType(inner)] if length else [GGUFValueType.ARRAY]
        if inner in self.gguf_scalar_to_np:
            values = self._get(begin, self.gguf_scalar_to_np[inner], length)
            return 12 + values.nbytes, [values], [0], types
        if inner != GGUFValueType.STRING:
            return super()._get_field_parts(orig_offs, raw_type)
        content, size_at = memoryview(self.data), struct.Struct(f"{order}Q").unpack_from
        texts, end = [], begin
        for _ in range(length):
            begin = end + 8
            end = begin + size_at(content, end)[0]
            texts.append(content[begin:end])
        return end - orig_offs, texts, range(length), types
