"""A limit on what a server may send: no response, however long or densely packed, fills the memory."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Any

from biomark.prompted.chat.answers import Malformed, TooLarge

LARGEST = 32 << 20
"""Bytes of a response, unpacked: a stream of 100,000 tokens takes about this much."""
UNPACKED = {"Accept-Encoding": "identity"}
"""Headers that ask for responses as they are."""
_AUTOMATIC, _RAW = 47, -15  # window sizes of zlib: gzip or zlib by their heads; neither
_PACKED = ("gzip", "x-gzip", "deflate")


async def limit(response: Any) -> None:
    """Make a response of httpx stop at `LARGEST` bytes, be it an error or an answer; a hook of the client."""
    stream = response.stream
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing != "identity":
        del response.headers["content-encoding"]  # it is unpacked here

    # By name, since versions of the SDK bring HTTP clients of their own
    base: Any = next(kind for kind in type(stream).__mro__ if kind.__name__ == "AsyncByteStream")

    class Limited(base):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in limited(aiter(stream), packing):
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Limited()


async def limited(chunks: AsyncIterator[bytes], packing: str = "identity") -> AsyncIterator[bytes]:
    """The bytes of a response, unpacked.

    Args:
        chunks: as they come.
        packing: gzip, deflate or identity.

    Raises:
        TooLarge: as soon as there are more than `LARGEST`.
        Malformed: if they are packed otherwise, or damaged.
    """
    if packing not in (*_PACKED, "identity"):
        raise Malformed(f"the server's response is packed as {packing[:40]}, which nobody asked for")
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
            raise TooLarge(f"the server's response is larger than {LARGEST >> 20} MB, and no answer")
        yield chunk


def _unpacker(first: bytes) -> Any:
    """What unpacks a response that begins so; some servers take `deflate` for the method without its head."""
    try:
        zlib.decompressobj(_AUTOMATIC).decompress(first, 1)
    except zlib.error:
        return zlib.decompressobj(_RAW)
    return zlib.decompressobj(_AUTOMATIC)
