"""Settings as frozen dataclasses whose fields carry their meaning for help texts.

The command line shows these meanings in its help and in `biomark settings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields
from typing import Any, cast


def option(default: Any, meaning: str) -> Any:
    """Declare a field of a dataclass of settings.

    Args:
        default: the value if the user sets none.
        meaning: the meaning of the field, with its unit.
    """
    return field(default=default, metadata={"help": meaning})


def meanings(settings: type) -> dict[str, str]:
    """Return the meaning of each field of a dataclass of settings, by the field's name."""
    return {f.name: f.metadata["help"] for f in cast("Sequence[Any]", fields(settings))}
