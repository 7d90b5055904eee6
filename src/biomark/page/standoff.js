// Writers of lines: PubTator, JSON Lines, tables and demonstrations. Documents come in JSON Lines form (offsets
// in code points), and what is written equals what biomark's own writers write.

import { splitIds } from "./identifiers.js";
import { pythonJson, pythonNumber } from "./json.js";
import { Offsets, segments } from "./offsets.js";

const WHOLE = /^\d{1,18}$/;

/** JSON Lines: all that a document holds. */
export function jsonLines(documents) {
  return documents.map((document) => `${pythonJson(document)}\n`).join("");
}

/** PubTator: title, abstract, a mention a line. */
export function pubtator(documents) {
  return documents.flatMap((document) => {
    const relations = withIdentifiers(document);
    return pubtatorParts(document).map((part, n) => pubtatorBlock(part, n ? [] : relations));
  }).join("");
}

function pubtatorParts(document) {
  const passages = document.passages ?? [];
  const points = new Offsets(document.text);
  const kinds = passages.map((p) => p.kind ?? "").join(" ");
  const plain = passages.length === 0 || ["title", "title abstract", "abstract"].includes(kinds);
  const whole = passages.length > 1 && passages[0].start === 0 && passages.at(-1).end === points.points;
  const rows = passages.every((p, n) => n === 0 || (p.start === passages[n - 1].end + 1 && points.slice(p.start - 1, p.start) === "\n"));
  if (plain || !whole || !rows || passages.some((p) => points.slice(p.start, p.end).includes("\n"))) return [document];
  const parts = passages.map((p) => ({ id: document.id, text: points.slice(p.start, p.end), entities: [] }));
  for (const entity of document.entities) {
    const place = passages.findIndex((p) => entity.spans[0][0] < p.end);
    const { start, end } = passages[place];
    if (entity.spans[0][0] < start || entity.spans.at(-1)[1] > end) return [document];
    parts[place].entities.push({ ...entity, spans: entity.spans.map(([a, b]) => [a - start, b - start]) });
  }
  return parts;
}

function pubtatorBlock(document, relations) {
  const points = new Offsets(document.text);
  const cut = titleEnd(document, points);
  const rows = [`${document.id}|t|${blank(points.slice(0, cut))}`, `${document.id}|a|${blank(points.slice(Math.min(cut + 1, points.points)))}`];
  for (const { spans, type, ids = [], infons = {} } of document.entities) {
    const [start, end] = [spans[0][0], spans.at(-1)[1]];
    const columns = [document.id, start, end, oneLine(points.slice(start, end)), oneLine(type)];
    let { identifier } = infons;
    if (identifier === undefined || !sameList(splitIds(identifier), ids)) identifier = ids.length ? ids.join("|") : undefined;
    if (identifier !== undefined || infons.parts !== undefined) columns.push(oneLine(identifier ?? ""));
    if (infons.parts !== undefined) columns.push(oneLine(infons.parts));
    rows.push(columns.join("\t"));
  }
  for (const { type, arguments: args } of relations) {
    const others = args.slice(1).map(([, id]) => id);
    const held = others.length === 1 || (others.length === 2 && ["Novel", "No"].includes(others[1]));
    if (held && !WHOLE.test(type)) rows.push([document.id, type, ...args.map(([, id]) => id)].map(oneLine).join("\t"));
  }
  return `${rows.join("\n")}\n\n`;
}

/** Where the title ends: before the abstract, else at the first line end, else at the end of the text. */
function titleEnd({ text, passages = [] }, points) {
  const abstract = passages.find((p) => p.kind === "abstract" && p.start);
  if (abstract && /^\s$/u.test(points.slice(abstract.start - 1, abstract.start))) return abstract.start - 1;
  const place = text.indexOf("\n");
  return place >= 0 && place < text.length - 1 ? points.point(place) : points.points;
}

/** Relations of mentions are relations of their identifiers here. */
function withIdentifiers({ entities, relations = [] }) {
  const mentions = new Map(entities.filter((e) => e.infons?.id !== undefined).map((e) => [e.infons.id, e.ids ?? []]));
  const identifiers = new Set(entities.flatMap((e) => e.ids ?? []));
  return relations.flatMap((relation) => {
    const targets = (relation.arguments ?? []).map(([, target]) => target);
    if (targets.some((target) => identifiers.has(target) || !mentions.has(target))) return [{ arguments: [], ...relation }];
    if (!targets.every((target) => mentions.get(target).length)) return [];
    return [{ ...relation, arguments: targets.map((target) => ["", mentions.get(target).join("|")]) }];
  });
}

/** A table: a row a mention. A value that a spreadsheet would run as a formula begins with an apostrophe. */
export function csv(documents) {
  const rows = [["document", "passage", "start", "end", "text", "type", "score", "identifiers"]];
  for (const document of documents)
    for (const { spans, text, type, score, ids = [] } of document.entities) {
      const [start, end] = [spans[0][0], spans.at(-1)[1]];
      const passage = (document.passages ?? []).find((p) => p.start <= start && start < p.end)?.kind ?? "";
      const texts = [document.id, passage, text, type, ids.join("|")].map((value) => value.replace(/^(?=[=+\-@\t\r\n＝＋－＠'])/, "'"));
      rows.push([texts[0], texts[1], `${start}`, `${end}`, texts[2], texts[3], score === undefined ? "" : pythonNumber(score), texts[4]]);
    }
  return rows.map((row) => `${row.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",")}\r\n`).join("");
}

/** Demonstrations: for each sentence and type an instruction, the sentence, and the sentence with its mentions marked. */
export function demonstrations(documents, types, labelOf) {
  const rows = documents.flatMap((document) => {
    const points = new Offsets(document.text);
    return sentencesOf(document, points).flatMap(([start, end]) =>
      types.map((type) => {
        const inside = flat(document.entities.filter((e) => e.type === type && e.spans[0][0] >= start && e.spans.at(-1)[1] <= end));
        let [output, at] = ["", start];
        for (const { spans: [[from, to]] } of inside) {
          output += `${points.slice(at, from)}<mark>${points.slice(from, to)}</mark>`;
          at = to;
        }
        const instruction = `Given a sentence extract ${labelOf(type)} entities from it by highlighting them with <mark> and </mark>. If not present output the same sentence.`;
        return pythonJson({ instruction, input: points.slice(start, end), output: output + points.slice(at, end), document_id: document.id, window: [start, end] });
      }),
    );
  });
  return rows.length ? `[\n${rows.join(",\n")}\n]\n` : "[\n]\n";
}

/** The document's sentences, or those that the browser sees in its passages. */
function sentencesOf({ text, sentences = [], split = [], passages = [] }, points) {
  if (sentences.length || split.length) return sentences.length ? sentences : split;
  const parts = passages.length ? passages : [{ start: 0, end: points.points }];
  return parts.flatMap(({ start, end }) => {
    const base = points.unit(start);
    return segments(points.slice(start, end), "sentence").flatMap(([from, to]) => {
      const sentence = text.slice(base + from, base + to);
      const first = base + from + sentence.length - sentence.trimStart().length;
      const last = base + from + sentence.trimEnd().length;
      return first < last ? [[points.point(first), points.point(last)]] : [];
    });
  });
}

/** The contiguous mentions that do not overlap, the longest of nested or crossing ones, in text order. */
function flat(entities) {
  const length = (e) => e.spans[0][1] - e.spans[0][0];
  const taken = [];
  for (const entity of entities.filter((e) => e.spans.length === 1).sort((a, b) => length(b) - length(a) || a.spans[0][0] - b.spans[0][0])) {
    const [start, end] = entity.spans[0];
    if (taken.every(({ spans: [[from, to]] }) => end <= from || to <= start)) taken.push(entity);
  }
  return taken.sort((a, b) => a.spans[0][0] - b.spans[0][0]);
}

function blank(text) {
  return text.replace(/[\n\r]/g, " ");
}

export function oneLine(text) {
  return text.replace(/[\t\n\r]/g, " ");
}

function sameList(some, others) {
  return some.length === others.length && some.every((value, n) => value === others[n]);
}
