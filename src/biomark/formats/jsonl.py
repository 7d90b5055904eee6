from biomark.formats.base import Format
FORMAT = Format("jsonl", (".jsonl",))
