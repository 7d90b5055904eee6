"""Where the service listens, and its limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from biomark.errors import UsageError
from biomark.runtime.options import option

TOKEN = "BIOMARK_TOKEN"
"""The environment variable that may hold the token."""
_SHORTEST_TOKEN = 16  # characters


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of `biomark serve` beside its models; each field tells what it means."""

    host: str = option("127.0.0.1", "The address to listen at; one that other machines reach needs a token.")
    port: int = option(8765, "The port to listen at; 0: any free one.")
    token_file: Path | None = option(None, f"A file with the token that requests must send; else ${TOKEN}.")
    max_body: int = option(16, "The largest body of a request, in MiB.")
    max_documents: int = option(1_000, "The most documents of a request.")
    max_characters: int = option(1_000_000, "The most characters of a request's documents together.")
    time_limit: float = option(300.0, "Seconds after which a request is given up.")
    queue: int = option(128, "Requests that are open at one time; further ones are told to come again.")

    def __post_init__(self) -> None:
        for name in ("max_body", "max_documents", "max_characters", "time_limit", "queue"):
            if not getattr(self, name) > 0:
                raise UsageError(f"`{name}` must be greater than 0, got {getattr(self, name)}")
        if not 0 <= self.port < 65_536:
            raise UsageError(f"`port` must be in [0, 65535], got {self.port}")

    @property
    def is_local(self) -> bool:
        """Whether this machine alone reaches the host."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


def token_of(options: ServeOptions) -> str:
    """The token that requests must send; empty: none.

    Raises:
        UsageError: if it cannot be read or is no token, or there must be one and is none.
    """
    token = os.environ.get(TOKEN, "")
    if options.token_file is not None:
        try:
            token = options.token_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{options.token_file} (`token_file`): cannot be read: {error}") from error
    if not token and (options.token_file is not None or not options.is_local):
        what = f"{options.token_file} is empty" if options.token_file else f"other machines reach {options.host}"
        raise UsageError(
            f"{what}; put a token into ${TOKEN} or a file (`token_file`), such as that of: openssl rand -hex 32"
        )
    if token and not (token.isascii() and token.isprintable() and " " not in token and len(token) >= _SHORTEST_TOKEN):
        raise UsageError(
            f"the token must have at least {_SHORTEST_TOKEN} letters, digits and signs of ASCII, no blanks"
        )
    return token
