"""The parts of training that all kinds of models share: a recipe in TOML becomes a model folder.

Training needs the extra `train` (torch, transformers).
"""

from __future__ import annotations

import logging

# bitsandbytes logs a missing optional kernel when it is imported, which transformers does by itself.
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "kernels-community" not in str(record.msg))
