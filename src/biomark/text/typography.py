"""The signs outside ASCII that texts contain in place of an apostrophe, a quotation mark or a hyphen."""

from __future__ import annotations

APOSTROPHES = "\u2018\u2019\u201b\u02bc\u02b9\u2032\u00b4\uff07"
QUOTES = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"
HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u2043"
