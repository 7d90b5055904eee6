from biomark.formats.base import Format
FORMAT = Format("bioc_json", (".bioc_json",))
