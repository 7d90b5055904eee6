"""Knowledge: names of concepts and their identifiers, in one file; finding them in text."""
