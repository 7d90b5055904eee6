"""Mark decoding: the answers of a causal language model, faithful to their source and fast."""
