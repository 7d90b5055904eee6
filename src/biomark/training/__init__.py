"""Training: a recipe in TOML → a model folder. Needs the extra `train` (torch, transformers)."""

from __future__ import annotations

import logging

# bitsandbytes complains when it is imported, which transformers does by itself, that an optional kernel is not there.
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "kernels-community" not in str(record.msg))
