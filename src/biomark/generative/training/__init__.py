"""Tuning of causal language models; needs the extra `train`."""
