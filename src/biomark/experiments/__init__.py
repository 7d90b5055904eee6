"""Experiments: tables of papers, made again by one command each."""
