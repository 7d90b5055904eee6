"""Identifiers as files join them in one field."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[|,;]")
# tmVar writes a variant's form with bars inside: c|SUB|T|920|G
_VARIANT = re.compile(r"[A-Za-z]\|[A-Za-z]+\|")


def split_ids(identifier: str) -> tuple[str, ...]:
    """The identifiers of a field such as `D001|D002`; `-1` and `-` mean none."""
    if _VARIANT.match(identifier):
        return (identifier,)
    ids = (piece.strip() for piece in _SEPARATORS.split(identifier))
    return tuple(id for id in ids if id not in ("", "-", "-1"))
