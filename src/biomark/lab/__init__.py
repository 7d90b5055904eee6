"""The experiments of `biomark reproduce` and the benchmarks of `biomark bench`; only these commands import them."""
