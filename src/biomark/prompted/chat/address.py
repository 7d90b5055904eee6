"""Addresses of servers: what may stand in one, and whether it is this machine's."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from biomark.errors import UsageError

_VERSION = "api-version"  # the one thing that Azure wants to have behind the question mark


def check(address: str, keys: Sequence[str]) -> None:
    """Look for what cannot be the base URL of a server.

    Args:
        address: such as `http://localhost:8000/v1`.
        keys: the environment's variables that a key is taken from.

    Raises:
        UsageError: if it is none, or holds what would end up in records.
    """
    try:
        parts = urlsplit(address)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is none
        named = False
    if not named or parts.fragment:
        raise UsageError(f"`base_url` must be an address such as http://localhost:8000/v1, got {address}")
    where = f"ends up in records; the key is taken from {' or '.join(keys)}"
    if parts.username is not None:
        raise UsageError(f"a name or key in `base_url` {where}")
    if parts.query and set(parted(address)[1]) != {_VERSION}:
        raise UsageError(
            f"`base_url` takes ?{_VERSION}=… of Azure and no other question mark: what stands there {where}"
        )


def parted(address: str) -> tuple[str, dict[str, str]]:
    """The address without what stands behind the question mark, and that by name."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(query="")), dict(parse_qsl(parts.query, keep_blank_values=True))


def is_here(address: str) -> bool:
    """Whether a server runs on this machine."""
    host = (urlsplit(address).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        try:
            ip = IPv4Address(socket.inet_aton(host))  # such as 127.1
        except OSError:
            return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_unspecified  # nobody but this machine answers at 0.0.0.0
