"""Tagging (VANER, Bian et al. 2024, and the default model): a network gives each word a tag for each type."""
