// A document cut into blocks (lines), long blocks cut into stretches that are drawn one by one, and stretches cut into
// pieces wherever a mention begins or ends.

import { extentOf } from "./documents.js";
import { whole } from "./offsets.js";

export const DEEPEST = 8; // mentions that are shown over one place
export const STRETCH = 1000; // the most UTF-16 units of a stretch

/** The document's blocks: { start, end, kind, first }; `first` in its passage. Lines of blanks outside passages are none. */
export function blocksOf({ text, passages }) {
  const blocks = [];
  const put = (start, end, kind) => {
    let first = true;
    for (let at = start; at < end; first = false) {
      const line = text.indexOf("\n", at);
      const stop = line < 0 || line >= end ? end : line + 1;
      blocks.push({ start: at, end: stop, kind, first });
      at = stop;
    }
  };
  let at = 0;
  for (const { span: [start, end], kind } of passages) {
    if (text.slice(at, start).trim()) put(at, start, "");
    put(start, end, kind);
    at = end;
  }
  if (text.slice(at).trim()) put(at, text.length, "");
  return blocks;
}

/** A block's stretches: { start, end }. They end behind a blank if there is one, and never inside of a character. */
export function stretchesOf(text, { start, end }) {
  const stretches = [];
  for (let at = start; at < end; ) {
    let stop = Math.min(at + STRETCH, end);
    if (stop < end) {
      const words = text.slice(at, stop).search(/\s\S*$/);
      const cut = words < 0 ? whole(text, stop) : at + words + 1;
      if (cut > at) stop = cut;
    }
    stretches.push({ start: at, end: stop });
    at = stop;
  }
  return stretches;
}

/** The mentions without those that begin inside DEEPEST others; of those that begin together the longest go first. */
export function layered(entities) {
  const parts = entities.flatMap((entity, place) => entity.spans.map(([start, end]) => ({ entity, place, start, end, length: lengthOf(entity) })));
  parts.sort((a, b) => a.start - b.start || b.length - a.length || a.place - b.place);
  const hidden = new Set();
  let open = [];
  for (const { entity, start, end } of parts) {
    open = open.filter((stop) => stop > start);
    if (open.length >= DEEPEST) hidden.add(entity);
    else if (!hidden.has(entity)) open.push(end);
  }
  return hidden.size ? entities.filter((entity) => !hidden.has(entity)) : entities;
}

/** The lane of each mention, as a Map: 0 is nearest to the words. Mentions whose extents overlap have lanes of their own. */
export function lanesOf(entities) {
  const order = [...entities].sort((a, b) => a.spans[0][0] - b.spans[0][0] || lengthOf(b) - lengthOf(a));
  const lanes = new Map();
  let cluster = [];
  let reach = -1;
  const close = () => {
    const ends = [];
    const rows = cluster.map((entity) => {
      const [start, end] = extentOf(entity);
      const free = ends.findIndex((stop) => stop <= start);
      const row = free < 0 ? ends.length : free;
      ends[row] = end;
      return row;
    });
    cluster.forEach((entity, n) => lanes.set(entity, ends.length - 1 - rows[n]));
    cluster = [];
  };
  for (const entity of order) {
    const [start, end] = extentOf(entity);
    if (start >= reach) close();
    cluster.push(entity);
    reach = Math.max(reach, end);
  }
  close();
  return lanes;
}

/** The mentions of each stretch: those with a part, or a gap between parts, in it. */
export function byStretch(stretches, entities) {
  const found = stretches.map(() => []);
  for (const entity of entities) {
    const [start, end] = extentOf(entity);
    let low = 0;
    let high = stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (stretches[middle].end <= start) low = middle + 1;
      else high = middle;
    }
    for (let n = low; n < stretches.length && stretches[n].start < end; n += 1) found[n].push(entity);
  }
  return found;
}

/** A stretch's pieces: { start, end, over, gaps }; `over` are the mentions there, the shortest first. */
export function piecesOf({ start, end }, entities) {
  const events = new Map();
  const at = (place) => {
    if (!events.has(place)) events.set(place, { opens: [], closes: [] });
    return events.get(place);
  };
  for (const entity of entities) {
    entity.spans.forEach(([from, to], n) => {
      if (from < end && to > start) {
        at(Math.max(from, start)).opens.push([entity, "over"]);
        at(Math.min(to, end)).closes.push([entity, "over"]);
      }
      const next = entity.spans[n + 1]?.[0];
      if (next !== undefined && to < end && next > start && to < next) {
        at(Math.max(to, start)).opens.push([entity, "gaps"]);
        at(Math.min(next, end)).closes.push([entity, "gaps"]);
      }
    });
  }
  const active = { over: new Set(), gaps: new Set() };
  const cuts = [...new Set([...events.keys(), start, end])].sort((a, b) => a - b);
  return cuts.slice(0, -1).map((place, n) => {
    for (const [entity, how] of events.get(place)?.closes ?? []) active[how].delete(entity);
    for (const [entity, how] of events.get(place)?.opens ?? []) active[how].add(entity);
    const over = [...active.over].sort((a, b) => lengthOf(a) - lengthOf(b));
    return { start: place, end: cuts[n + 1], over, gaps: [...active.gaps] };
  });
}

function lengthOf(entity) {
  const [start, end] = extentOf(entity);
  return end - start;
}
