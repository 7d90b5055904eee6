from biomark.formats.base import Format
FORMAT = Format("terminal", (".terminal",))
