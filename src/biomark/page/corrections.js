// What a person changes. Each function gives a new document and leaves the old one as it is. What the model said
// stays beside what the person did: a mention's infons hold who corrected it, when, how, and what it was before;
// dropped mentions are kept in an infon of the document.

import { documentOf, jsonOf, mentionJson, sameSpans, wordsOf } from "./documents.js";
import { pythonJson } from "./json.js";

const BY = "corrected by";
const AT = "corrected at";
const HOW = "correction";
const BEFORE = "before";
const DROPPED = "dropped mentions";
const forms = new WeakMap();

/** Who corrected a mention, when and how; null if nobody did. */
export function correctionOf({ infons }) {
  return infons[HOW] ? { how: infons[HOW], who: infons[BY], when: infons[AT], before: parsed(infons[BEFORE]) } : null;
}

/** The document with a new mention. `by` is { who, when }. */
export function withAdded(document, spans, type, by) {
  if (document.entities.some((e) => e.type === type && sameSpans(e.spans, spans))) return document;
  const mention = Object.freeze({ spans, type, ids: [], score: null, infons: signed("added", by) });
  const place = document.entities.findIndex((e) => e.spans[0][0] > spans[0][0]);
  return { ...document, entities: document.entities.toSpliced(place < 0 ? document.entities.length : place, 0, mention) };
}

/** The document without a mention. One that a model or a file gave is remembered. */
export function withDropped(document, mention, by) {
  const entities = document.entities.filter((e) => e !== mention);
  const before = beforeOf(document, mention);
  if (!before) return { ...document, entities };
  const list = [...(parsed(document.infons[DROPPED]) ?? []), { ...before, "dropped by": by.who, "dropped at": by.when }];
  return { ...document, entities, infons: { ...document.infons, [DROPPED]: pythonJson(list) } };
}

/** The document with a mention at other places or of another type. Identifiers and score were those of the old one. */
export function withChanged(document, mention, { spans = mention.spans, type = mention.type }, by) {
  if (type === mention.type && sameSpans(spans, mention.spans)) return document;
  if (document.entities.some((e) => e !== mention && e.type === type && sameSpans(e.spans, spans))) return document;
  const before = beforeOf(document, mention);
  const how = before ? (type === mention.type ? "resized" : "retyped") : "added";
  const infons = { ...("id" in mention.infons ? { id: mention.infons.id } : {}), ...signed(how, by), ...(before ? { [BEFORE]: pythonJson(before) } : {}) };
  const changed = Object.freeze({ spans, type, ids: [], score: null, infons });
  return { ...document, entities: document.entities.map((e) => (e === mention ? changed : e)) };
}

/** The document as it was before anybody corrected it. Throws an Error if its infons are not those of corrections of this text. */
export function uncorrected(document) {
  const corrections = document.entities.map(correctionOf).filter((correction) => correction);
  const list = parsed(document.infons[DROPPED]);
  const dropped = Array.isArray(list) ? list : [];
  if (!corrections.length && !dropped.length) return document;
  const { infons = {}, ...values } = jsonOf(document);
  const untouched = values.entities.filter((_, n) => !correctionOf(document.entities[n]));
  const entities = [...untouched, ...corrections.flatMap(({ before }) => before ?? []), ...dropped].sort((a, b) => a.spans[0][0] - b.spans[0][0]);
  return documentOf({ ...values, entities, infons: Object.fromEntries(Object.entries(infons).filter(([key]) => key !== DROPPED)) });
}

/** The mentions of all documents with the same words and type, as [index, mention]. */
export function equalMentions(documents, index, mention) {
  const words = formOf(documents[index], mention);
  return documents.flatMap((document, n) =>
    document.entities.filter((e) => e.type === mention.type && formOf(document, e) === words).map((e) => [n, e]),
  );
}

/** Where the words stand as whole words, in all documents, as [index, [start, end]]; case does not matter. */
export function occurrences(documents, words) {
  const pattern = words.trim().split(/\s+/u).map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("\\s+");
  if (!pattern) return [];
  const exact = new RegExp(`(?<![\\p{L}\\p{N}])${pattern}(?![\\p{L}\\p{N}])`, "giu");
  return documents.flatMap((document, n) => Array.from(document.text.matchAll(exact), (m) => [n, [m.index, m.index + m[0].length]]));
}

/** A mention's words without regard to case and white space. */
function formOf(document, mention) {
  if (!forms.has(mention)) forms.set(mention, wordsOf(document, mention.spans).toLowerCase().trim().replace(/\s+/gu, " "));
  return forms.get(mention);
}

function signed(how, by) {
  return { [HOW]: how, [BY]: by.who, [AT]: by.when };
}

/** What a mention was before anybody corrected it, in JSON Lines form; null if a person has added it. */
function beforeOf(document, mention) {
  const correction = correctionOf(mention);
  return correction ? correction.before : mentionJson(document, mention);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
