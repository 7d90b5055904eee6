"""Settings of the service: its address, its token and its limits."""

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
    """The options of `biomark serve` beside its models; each field carries its meaning.

    Raises:
        UsageError: if a limit is not greater than 0, or the port is out of range.
    """

    host: str = option("127.0.0.1", "The address to listen at; an address that other machines reach needs a token.")
    port: int = option(8765, "The port to listen at; 0: any free port.")
    token_file: Path | None = option(
        None, f"A file with the token that requests must send. Default: the token in ${TOKEN}."
    )
    max_body: int = option(16, "The largest body of a request, in MiB.")
    max_documents: int = option(1_000, "The largest number of documents in a request.")
    max_characters: int = option(1_000_000, "The largest number of characters in all documents of a request.")
    time_limit: float = option(300.0, "Seconds after which an unfinished request is answered with an error.")
    queue: int = option(128, "The largest number of open requests; further ones are asked to try again later.")

    def __post_init__(self) -> None:
        for name in ("max_body", "max_documents", "max_characters", "time_limit", "queue"):
            if not getattr(self, name) > 0:
                raise UsageError(f"`{name}` must be greater than 0, got {getattr(self, name)}")
        if not 0 <= self.port < 65_536:
            raise UsageError(f"`port` must be in [0, 65535], got {self.port}")

    @property
    def is_local(self) -> bool:
        """Return whether only this machine can reach the host."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


def token_of(options: ServeOptions) -> str:
    """Return the token that requests must send; empty: requests need none.

    Raises:
        UsageError: if the token cannot be read, is too short or has other characters than visible ASCII, or if it is
            missing and other machines reach the host.
    """
    token = os.environ.get(TOKEN, "")
    if options.token_file is not None:
        try:
            token = options.token_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{options.token_file}: the token cannot be read: {error}") from error
    if not token and (options.token_file is not None or not options.is_local):
        problem = f"{options.token_file} is empty" if options.token_file else f"other machines reach {options.host}"
        raise UsageError(
            f"{problem}; put a token into ${TOKEN} or a file (`token_file`), for instance from: openssl rand -hex 32"
        )
    if token and not (token.isascii() and token.isprintable() and " " not in token and len(token) >= _SHORTEST_TOKEN):
        raise UsageError(
            f"the token must have at least {_SHORTEST_TOKEN} characters, only letters, digits and signs of ASCII"
        )
    return token
