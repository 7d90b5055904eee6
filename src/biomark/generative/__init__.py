"""Generative models (BioNER-LLaMA, Keloth et al. 2024): a causal language model copies the sentence and adds marks."""
