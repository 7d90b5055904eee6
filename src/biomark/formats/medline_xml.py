from biomark.formats.base import Format
FORMAT = Format("medline_xml", (".medline_xml",))
