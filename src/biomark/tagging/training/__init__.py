"""Training of tagging models; needs the extra `train`."""
