"""Knowledge: a store of names and identifiers of concepts in one file, and their recognition in text."""
