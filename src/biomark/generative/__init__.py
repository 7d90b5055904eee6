"""Generation (BioNER-LLaMA, Keloth et al. 2024): a causal language model writes the sentence again, with marks."""
