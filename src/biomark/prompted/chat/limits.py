"""A limit on the size of responses, so that no response, even a compressed one, fills the memory."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Any

from biomark.prompted.chat.answers import Malformed, TooLarge

LARGEST = 32 << 20
"""The largest response in bytes, decompressed; a stream of 100,000 tokens has about this size."""
UNPACKED = {"Accept-Encoding": "identity"}
"""Headers that ask for uncompressed responses."""
_AUTOMATIC, _RAW = 47, -15  # window sizes of zlib: gzip or zlib by their headers; no header
_PACKED = ("gzip", "x-gzip", "deflate")


async def limit(response: Any) -> None:
    """Limit a response of httpx to `LARGEST` bytes; an event hook of the client."""
    stream = response.stream
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing != "identity":
        del response.headers["content-encoding"]  # it is decompressed here

    # By name, because versions of the SDK bring HTTP clients of their own
    base: Any = next(kind for kind in type(stream).__mro__ if kind.__name__ == "AsyncByteStream")

    class Limited(base):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in limited(aiter(stream), packing):
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Limited()


async def limited(chunks: AsyncIterator[bytes], packing: str = "identity") -> AsyncIterator[bytes]:
    """Yield the decompressed bytes of a response.

    Args:
        chunks: the bytes of the response.
        packing: the content encoding: gzip, deflate or identity.

    Raises:
        TooLarge: as soon as there are more than `LARGEST` bytes.
        Malformed: if the encoding is another one, or the bytes are damaged.
    """
    if packing not in (*_PACKED, "identity"):
        raise Malformed(f"the server's response has the unknown content encoding {packing[:40]}")
    unpack: Any = None
    size = 0
    async for packed in chunks:
        chunk = packed
        if packing != "identity":
            try:
                unpack = unpack or _unpacker(packed)
                chunk = unpack.decompress(packed, LARGEST - size + 1)
            except zlib.error as error:
                raise Malformed(f"the server's response is damaged ({error})") from error
        size += len(chunk)
        if size > LARGEST:
            raise TooLarge(f"the server's response is larger than {LARGEST >> 20} MiB; it was not read")
        yield chunk


def _unpacker(first: bytes) -> Any:
    """Return a decompressor for a response with these first bytes; some servers send `deflate` without a header."""
    try:
        zlib.decompressobj(_AUTOMATIC).decompress(first, 1)
    except zlib.error:
        return zlib.decompressobj(_RAW)
    return zlib.decompressobj(_AUTOMATIC)
