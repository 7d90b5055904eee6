"""Parts of `recipes/clinical_notes.py`: a grammar of clinical notes, its vocabularies, and the noise of real notes."""
