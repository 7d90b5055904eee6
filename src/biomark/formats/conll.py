from biomark.formats.base import Format
FORMAT = Format("conll", (".conll",))
