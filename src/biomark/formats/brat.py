from biomark.formats.base import Format
FORMAT = Format("brat", (".brat",))
