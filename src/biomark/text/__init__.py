"""Text in its many forms: sentences, lines, sections, abbreviations, edits, and the view that networks read."""
