"""Training: a recipe in TOML → a model folder. Needs the extra `train` (torch, transformers)."""

from __future__ import annotations
