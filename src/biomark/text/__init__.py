"""Text as people have it: sentences, lines, sections, abbreviations, and the view that networks read."""
