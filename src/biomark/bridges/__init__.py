"""biomark inside other tools, with a module for each: data frames, spaCy, Hugging Face's libraries, MCP.

The modules import their tools lazily, except `spacy` and `mcp`, which nothing else of biomark imports at start.
"""
