"""biomark inside other tools, a module for each: data frames, spaCy, Hugging Face's libraries, MCP.

A module imports its tool when it is used, but for `spacy` and `mcp`, which only their tools import.
"""
