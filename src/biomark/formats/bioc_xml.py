from biomark.formats.base import Format
FORMAT = Format("bioc_xml", (".bioc_xml",))
