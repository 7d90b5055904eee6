from biomark.formats.base import Format
FORMAT = Format("html", (".html",))
