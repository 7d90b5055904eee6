"""Training of tagging models; it needs the extra `train`."""
