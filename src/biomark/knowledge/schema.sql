-- A store of terms. Everything is written once, by `biomark knowledge build`, and only read afterwards.
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE source (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, format TEXT NOT NULL, version TEXT NOT NULL, licence TEXT NOT NULL,
  entries INTEGER NOT NULL, names INTEGER NOT NULL, rejected INTEGER NOT NULL
);

-- type is NULL only while the store is being built, and '' where it is none of biomark's or the user's: such concepts
-- are there for prompts, and have neither links nor keys. semantic: the types in the source's own words, joined by bars
CREATE TABLE concept (
  id INTEGER PRIMARY KEY, identifier TEXT NOT NULL UNIQUE, type TEXT, definition TEXT, taxon TEXT,
  semantic TEXT NOT NULL, source INTEGER NOT NULL
);

-- kind: biomark.knowledge.entries.NameKind; caution: biomark.knowledge.caution.Caution
CREATE TABLE name (
  id INTEGER PRIMARY KEY, concept INTEGER NOT NULL, text TEXT NOT NULL, form TEXT NOT NULL, bag TEXT NOT NULL,
  kind INTEGER NOT NULL, count INTEGER NOT NULL, caution INTEGER NOT NULL, source INTEGER NOT NULL
);

-- kind: biomark.knowledge.entries.Link
CREATE TABLE link (concept INTEGER NOT NULL, identifier TEXT NOT NULL, kind INTEGER NOT NULL, source INTEGER NOT NULL);

-- Mentions of annotated corpora with several identifiers (sorted, joined by bars), and how often they were seen
CREATE TABLE composite (
  form TEXT NOT NULL, type TEXT NOT NULL, identifiers TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (form, type, identifiers)
) WITHOUT ROWID;

-- The keys (biomark.knowledge.fuzzy) of each name's words
CREATE TABLE name_key (key TEXT NOT NULL, name INTEGER NOT NULL, PRIMARY KEY (key, name)) WITHOUT ROWID;
-- Each key, found by its trigrams
CREATE VIRTUAL TABLE spelled USING fts5 (key, tokenize='trigram');

-- What `biomark knowledge build --embeddings` adds, and `about` then names as `encoder`: an encoder
-- (biomark.embedding.exported), and in blocks the vectors of each type's names: ids (int64) and values (int8, a row a name).
CREATE TABLE encoder (name TEXT NOT NULL, weights BLOB NOT NULL, tokenizer TEXT NOT NULL, max_tokens INTEGER NOT NULL);
CREATE TABLE vectors (type TEXT NOT NULL, names BLOB NOT NULL, vectors BLOB NOT NULL);
