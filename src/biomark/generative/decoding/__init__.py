"""Mark decoding: fast constrained decoding whose answers are exact copies of the source text with marks."""
