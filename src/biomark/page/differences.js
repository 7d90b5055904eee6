// What one annotation has that another lacks: the classes of errors of biomark's evaluation report, in its order.

import { extentOf, overlap, sameSpans } from "./documents.js";

export const KINDS = {
  missing: "in the reference alone",
  wrong: "not in the reference",
  boundary: "same type, other borders",
  type: "same place, another type",
};

/** The differences of two lists of mentions, as [kind, gold or null, predicted or null], in text order. */
export function differences(gold, predicted) {
  const missed = distinct(gold).filter((g) => !predicted.some((p) => same(g, p)));
  const wrong = distinct(predicted).filter((p) => !gold.some((g) => same(g, p)));
  const partner = new Map();
  for (const p of wrong) {
    const equal = missed.find((g) => !taken(partner, g) && sameSpans(g.spans, p.spans));
    if (equal) partner.set(p, equal);
  }
  for (const p of wrong.filter((mention) => !partner.has(mention))) {
    const others = missed.filter((g) => !taken(partner, g) && overlap(g, p));
    const nearest = others.reduce((best, g) => (best && distance(p, best) <= distance(p, g) ? best : g), null);
    if (nearest) partner.set(p, nearest);
  }
  const found = [...partner].map(([p, g]) => [g.type === p.type ? "boundary" : "type", g, p]);
  for (const g of missed) if (!taken(partner, g)) found.push([touches(g, predicted) ? "boundary" : "missing", g, null]);
  for (const p of wrong) if (!partner.has(p)) found.push([touches(p, gold) ? "boundary" : "wrong", null, p]);
  return found.sort((a, b) => inOrder(a[1] ?? a[2], b[1] ?? b[2]) || (a[0] < b[0] ? -1 : 1));
}

function taken(partner, mention) {
  return [...partner.values()].includes(mention);
}

function touches(mention, others) {
  return others.some((other) => other.type === mention.type && overlap(other, mention));
}

function same(one, other) {
  return one.type === other.type && sameSpans(one.spans, other.spans);
}

function distinct(mentions) {
  const kept = new Map(mentions.map((mention) => [JSON.stringify([mention.spans, mention.type]), mention]));
  return [...kept.values()].sort(inOrder);
}

/** Other types are farther than any boundaries. */
function distance(one, other) {
  if (one.type !== other.type) return Infinity;
  const [[a, b], [c, d]] = [extentOf(one), extentOf(other)];
  return Math.abs(a - c) + Math.abs(b - d);
}

function inOrder(one, other) {
  for (let n = 0; n < Math.min(one.spans.length, other.spans.length); n += 1)
    for (const edge of [0, 1]) if (one.spans[n][edge] !== other.spans[n][edge]) return one.spans[n][edge] - other.spans[n][edge];
  return one.spans.length - other.spans.length || (one.type < other.type ? -1 : Number(one.type > other.type));
}
