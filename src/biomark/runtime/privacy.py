"""What other libraries would report to their makers is switched off, here and in the processes that are started here.

`biomark/__init__.py` calls this before any module of biomark can import one of these libraries: they read their
environment when they are imported, and later settings do not stop all of them.
"""

from __future__ import annotations

import os

NO_REPORTS = {
    # From version 1.31 on, onnxruntime keeps a device id and a queue of events under the user's cache folder and sends
    # them once a process lives for half a minute. Its own `disable_telemetry_events()` stops neither.
    "ORT_DISABLE_TELEMETRY": "1",
    # huggingface_hub puts a session id and the versions of libraries into the headers of each download.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # transformers has a service of its maker convert a model's weights, in the background, if they are no safetensors.
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # https://donottrack.sh, which more libraries heed from year to year
    "DO_NOT_TRACK": "1",
}
"""Variables of the environment, and the values that switch reports off."""


def report_nothing() -> None:
    """Set the variables of `NO_REPORTS`, whatever they were, in this process; its children inherit them."""
    os.environ.update(NO_REPORTS)
