"""Prompting of untuned language models, with demonstrations and an ontology (Monajatipoor et al. 2024)."""
