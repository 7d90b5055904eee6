"""Mentions of diseases, chemicals, genes and other types in biomedical text, with exact offsets.

    import biomark
    for document in biomark.annotate("Aspirin-induced asthma is rare in children."):
        print([(entity.mention(document.text), entity.type) for entity in document.entities])

`read` and `write` know the formats of the field. Models are loaded when they are first used, so that
importing this package is fast. It also switches off what other libraries would report to their makers:
see `biomark.runtime.privacy`.
"""

__version__ = "0.2.0"

from biomark.runtime.privacy import report_nothing

report_nothing()  # before any of the imports below can import what reports

from biomark.annotation import annotate
from biomark.bridges.tables import to_table
from biomark.bridges.transformers import pipeline
from biomark.errors import BiomarkError
from biomark.formats import read, write
from biomark.spans import Document, Entity, Passage, Rejected, Span

__all__ = [
    "BiomarkError",
    "Document",
    "Entity",
    "Passage",
    "Rejected",
    "Span",
    "annotate",
    "pipeline",
    "read",
    "to_table",
    "write",
]
