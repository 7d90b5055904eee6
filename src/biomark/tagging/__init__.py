"""Tagging (VANER, Bian et al. 2024, and the default model): a network predicts a BIO tag for each word and type."""
