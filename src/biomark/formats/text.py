from biomark.formats.base import Format
FORMAT = Format("text", (".text",))
