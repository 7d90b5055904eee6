"""Switches off the usage reports of other libraries, in this process and its child processes.

`biomark/__init__.py` calls this before any module of biomark imports one of these libraries: they read their
environment when they are imported, and later settings do not stop all of them.
"""

from __future__ import annotations

import os

NO_REPORTS = {
    # From version 1.31 on, onnxruntime keeps a device id and a queue of events under the user's cache folder and sends
    # them when a process has run for half a minute. Its own `disable_telemetry_events()` prevents neither.
    "ORT_DISABLE_TELEMETRY": "1",
    # huggingface_hub sends a session id and the versions of libraries in the headers of each download.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # transformers asks a service on the hub, in the background, to convert weights that are not safetensors.
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # ray reports the use of each Ray that it starts to a server of its makers.
    "RAY_USAGE_STATS_ENABLED": "0",
    # https://donottrack.sh, a convention that several libraries follow
    "DO_NOT_TRACK": "1",
}
"""Environment variables with the values that switch reports off."""


def report_nothing() -> None:
    """Set the variables of `NO_REPORTS` in this process, overriding other values; child processes inherit them."""
    os.environ.update(NO_REPORTS)
