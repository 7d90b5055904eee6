"""Addresses of servers: validation, and detection of servers on this machine."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from biomark.errors import UsageError

_VERSION = "api-version"  # the only query parameter, which Azure requires


def check(address: str, keys: Sequence[str]) -> None:
    """Check the base URL of a server.

    Args:
        address: a URL such as `http://localhost:8000/v1`.
        keys: the environment variables from which the key is taken.

    Raises:
        UsageError: if it is not a base URL, or contains a secret, which records would expose.
    """
    try:
        parts = urlsplit(address)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port
        named = False
    if not named or parts.fragment:
        raise UsageError(f"`base_url` must be an address such as http://localhost:8000/v1, got {address}")
    advice = f"because it would be stored in records; set {' or '.join(keys)} instead"
    if parts.username is not None:
        raise UsageError(f"`base_url` must not contain a name or key, {advice}")
    if parts.query and set(parted(address)[1]) != {_VERSION}:
        raise UsageError(f"`base_url` must not contain a query other than Azure's ?{_VERSION}=…, {advice}")


def parted(address: str) -> tuple[str, dict[str, str]]:
    """Return the address without its query, and the parameters of the query by name."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(query="")), dict(parse_qsl(parts.query, keep_blank_values=True))


def is_here(address: str) -> bool:
    """Return whether an address is of this machine."""
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
    return ip.is_loopback or ip.is_unspecified  # 0.0.0.0 reaches this machine only
