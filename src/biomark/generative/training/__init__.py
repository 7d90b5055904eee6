"""Training of generative models; it needs the extra `train`."""
