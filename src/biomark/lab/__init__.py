"""Experiments and benchmarks: what `biomark reproduce` and `biomark bench` run; nothing else imports it."""
