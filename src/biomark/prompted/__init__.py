"""Prompting (Monajatipoor et al. 2024): an untuned language model is asked, with demonstrations and an ontology."""
