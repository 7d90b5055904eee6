"""What `recipes/clinical_notes.py` is made of: a grammar of clinical notes, its vocabularies, and the noise of real ones."""
