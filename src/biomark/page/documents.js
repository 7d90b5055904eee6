// Documents as the page holds them: frozen, offsets in UTF-16 units. On the way in and out they have biomark's
// JSON Lines form, with offsets in code points.

import { Offsets } from "./offsets.js";

/** The document of an object in JSON Lines form. Throws an Error that names the document if a mention does not fit. */
export function documentOf(values) {
  if (typeof values?.text !== "string") throw new Error('a document needs a "text"');
  const offsets = new Offsets(values.text);
  const spans = (pairs) => pairs.map(([start, end]) => [offsets.unit(start), offsets.unit(end)]);
  const mention = (entity) => {
    const places = entity.spans ?? [[entity.start, entity.end]];
    const apart = places.every(([start, end], n) => start < end && start >= (n ? places[n - 1][1] : 0));
    if (!places.length || !apart || places.at(-1)[1] > offsets.points)
      throw new Error(`document ${values.id}: the mention at ${JSON.stringify(places)} does not fit the text`);
    const { type = "", ids = [], score = null, infons = {} } = entity;
    return Object.freeze({ spans: spans(places), type: String(type), ids, score, infons });
  };
  return Object.freeze({
    id: String(values.id ?? ""),
    text: values.text,
    offsets,
    passages: (values.passages ?? []).map((p) => ({ span: spans([[p.start, p.end]])[0], kind: p.kind ?? "", infons: p.infons ?? {} })),
    sentences: spans(values.sentences ?? []),
    split: spans(values.split ?? []),
    entities: (values.entities ?? []).map(mention),
    alternatives: (values.alternatives ?? []).map(mention),
    relations: values.relations ?? [],
    infons: values.infons ?? {},
  });
}

/** A document in JSON Lines form, its keys in the order in which biomark writes them. */
export function jsonOf(document) {
  const pairs = (spans) => inPoints(document, spans);
  return {
    id: document.id,
    text: document.text,
    ...filled({
      passages: document.passages.map((p) => {
        const [[start, end]] = pairs([p.span]);
        return { start, end, ...filled({ kind: p.kind, infons: p.infons }) };
      }),
      sentences: pairs(document.sentences),
    }),
    entities: document.entities.map((entity) => mentionJson(document, entity)),
    ...filled({
      alternatives: document.alternatives.map((entity) => mentionJson(document, entity)),
      relations: document.relations.map(({ type, arguments: args, infons }) => ({ type, ...filled({ arguments: args, infons }) })),
      infons: document.infons,
    }),
  };
}

/** A mention in JSON Lines form. */
export function mentionJson(document, entity) {
  const { type, ids, infons, score } = entity;
  const values = { spans: inPoints(document, entity.spans), text: wordsOf(document, entity.spans), type, ...filled({ ids, infons }) };
  return score === null ? values : { ...values, score };
}

/** Spans in units → spans in code points. */
export function inPoints({ offsets }, spans) {
  return spans.map(([start, end]) => [offsets.point(start), offsets.point(end)]);
}

/** The words of spans in units; those of several are joined by blanks. */
export function wordsOf({ text }, spans) {
  return spans.map(([start, end]) => text.slice(start, end)).join(" ");
}

/** From the first part's start to the last part's end. */
export function extentOf({ spans }) {
  return [spans[0][0], spans.at(-1)[1]];
}

/** Whether two lists of spans are equal. */
export function sameSpans(some, others) {
  return some.length === others.length && some.every(([start, end], n) => start === others[n][0] && end === others[n][1]);
}

/** Whether two mentions share a character. */
export function overlap(one, other) {
  return one.spans.some(([start, end]) => other.spans.some(([from, to]) => start < to && from < end));
}

/** The fields that are not empty. */
export function filled(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => (typeof value === "object" ? Object.keys(value).length : value)));
}
