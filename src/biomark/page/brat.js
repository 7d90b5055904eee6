// brat: a text and a file of annotations beside it. Offsets count code points; what is written equals what biomark's own
// writer writes, and what is read equals what its reader reads.

import { documentOf, filled } from "./documents.js";
import { fileName, fileStem } from "./identifiers.js";
import { pythonJson } from "./json.js";
import { Offsets } from "./offsets.js";
import { oneLine } from "./standoff.js";

const MENTION = /^(T\S+)\t(.{0,1000}?) (\d{1,15} \d{1,15}(?:;\d{1,15} \d{1,15})*)\t(.*)$/s;
const IDENTIFIER = /^N\S+\tReference (T\S+) ([^\t]*)(?:\t(.*))?$/s;
const RELATION = /^(R\S+)\t(\S+) ([^\s:]+):(\S+) ([^\s:]+):(\S+)\s*$/;
const NOTE = /^#\S+\tbiomark (T\S+)\t(.*)$/s;

/** Files as { pairs: [text, annotations], others }; `lonely` are annotations without their text. */
export function paired(files) {
  const stem = ({ name }) => name.replace(/\.\w+$/, "");
  const annotations = files.filter(({ name }) => /\.ann$/i.test(name));
  const text = new Map(files.filter(({ name }) => /\.txt$/i.test(name)).map((file) => [stem(file), file]));
  const pairs = annotations.filter((file) => text.has(stem(file))).map((file) => [text.get(stem(file)), file]);
  const taken = new Set(pairs.flat());
  return { pairs, lonely: annotations.filter((file) => !taken.has(file)), others: files.filter((file) => !taken.has(file) && !annotations.includes(file)) };
}

/** The document of a pair of files, and what of it cannot be read, as { documents, rejects: [{ reason, line }] }. */
export function readBrat(name, text, annotations) {
  if (!text) throw new Error(`its text, ${name}, is empty`);
  const found = { mentions: new Map(), identifiers: [], notes: new Map(), relations: [], others: [] };
  const rejects = [];
  annotations.split("\n").forEach((ended, n) => {
    const row = ended.replace(/\r$/, "");
    const problem = row.trim() ? sorted(row, n + 1, found) : null;
    if (problem) rejects.push({ reason: problem, line: n + 1 });
  });
  const places = placesOf(text, found.mentions);
  const meant = new Set([...found.relations.flatMap(({ match }) => [match[4], match[6]]), ...found.others.flatMap(references)]);
  const entities = new Map();
  [...found.mentions].forEach(([id, { match, line }], n) => {
    try {
      entities.set(id, mentionOf(match, places, found, id !== `T${n + 1}` || meant.has(id) ? { id } : {}));
    } catch (error) {
      rejects.push({ reason: error.message, line });
    }
  });
  const relations = found.relations.flatMap(({ match, line }, n) => {
    const missing = [match[4], match[6]].filter((id) => id.startsWith("T") && !entities.has(id));
    if (missing.length) rejects.push({ reason: `the relation has an unknown mention: ${missing.join(" and ")}`, line });
    const own = match[1] === `R${n + 1}` ? {} : { infons: { id: match[1] } };
    return missing.length ? [] : [{ type: match[2], arguments: [[match[3], match[4]], [match[5], match[6]]], ...own }];
  });
  for (const { id, line } of found.identifiers)
    if (!found.mentions.has(id)) rejects.push({ reason: `the identifier (N) is of an unknown mention: ${id}`, line });
  const infons = found.others.length ? { brat: found.others.join("\n") } : {};
  const id = fileStem(name.replace(/\.\w+$/, ""));
  return { documents: [documentOf({ id, text, entities: [...entities.values()], relations, infons })], rejects };
}

/** Puts a line where it belongs; returns what is wrong with it, or null. */
function sorted(row, line, found) {
  let match;
  if ((match = MENTION.exec(row))) {
    if (found.mentions.has(match[1])) return `another mention has the id ${match[1]}; give each mention its own id`;
    found.mentions.set(match[1], { match, line });
  } else if ((match = IDENTIFIER.exec(row))) found.identifiers.push({ id: match[1], value: match[2].replace(/^-:/, ""), name: match[3], line });
  else if ((match = RELATION.exec(row))) found.relations.push({ match, line });
  else if ((match = NOTE.exec(row))) {
    try {
      found.notes.set(match[1], JSON.parse(match[2]));
    } catch {
      return `the biomark note of ${match[1]} must be a JSON object`;
    }
  } else if (/^[EAM*#N]/.test(row)) found.others.push(row);
  else return "not a brat annotation: a line must begin with T, N, R, E, A, M, * or #, a number and a tab";
  return null;
}

/** How offsets of the file are places of the text: some tools count a line end of two characters as one. */
function placesOf(text, mentions) {
  const points = new Offsets(text);
  const plain = { points, length: points.points, place: (n) => n };
  if (!text.includes("\r\n")) return plain;
  const characters = Array.from(text);
  const starts = [...characters.keys()].filter((n) => characters[n] !== "\n" || characters[n - 1] !== "\r");
  const short = { points, length: starts.length, place: (n) => starts[n] ?? characters.length };
  const count = (places) => [...mentions.values()].filter(({ match }) => isThere(match, places)).length;
  return count(short) > count(plain) ? short : plain;
}

function isThere(match, places) {
  try {
    mentionOf(match, places, { identifiers: [], notes: new Map() }, {});
    return true;
  } catch {
    return false;
  }
}

/** A mention in JSON Lines form. Throws an Error if its words are not at its offsets. */
function mentionOf([, id, type, column, words], { points, length, place }, { identifiers, notes }, infons) {
  const given = column.split(";").map((part) => part.split(" ").map(Number));
  for (const [start, end] of given) {
    if (end > length) throw new Error(`offsets ${start}-${end} lie beyond the end of the text (${length} code points)`);
    if (start >= end) throw new Error(`a span needs 0 <= start < end, got ${start} and ${end}`);
  }
  const spans = given.map(([start, end]) => [place(start), place(end)]);
  const inText = [...spans].sort((a, b) => a[0] - b[0]);
  const read = (parts) => parts.map(([start, end]) => points.slice(start, end)).join(" ");
  if (![read(inText), read(spans)].some((own) => comparable(own) === comparable(words)))
    throw new Error(`at ${column.replaceAll(" ", "-")} the text has “${read(inText)}”, not “${words}”`);
  const parts = [];
  for (const [start, end] of inText) {
    if (parts.length && /^[\r\n]*\n[\r\n]*$/.test(points.slice(parts.at(-1)[1], start))) parts.at(-1)[1] = end;
    else parts.push([start, end]);
  }
  const note = notes.get(id) ?? {};
  const own = identifiers.filter((one) => one.id === id);
  const names = Object.fromEntries(own.filter(({ name }) => name).map(({ value, name }) => [`name of ${value}`, name]));
  return { spans: parts, type, ...filled({ ids: own.map(({ value }) => value) }), infons: { ...note.infons, ...names, ...infons }, score: note.score ?? null };
}

/** Words without what tools change of them: white space, case, accents, kinds of hyphens and quotation marks. */
function comparable(words) {
  return words.normalize("NFKD").toLowerCase().replace(/[\s\p{M}]/gu, "").replace(/[\p{Pd}\u2212_]/gu, "-").replace(/[\u2018\u2019\u201c\u201d\u2032\u2033"`]/g, "'");
}

/** brat: the files of a folder, as [name, text]. */
export function brat(documents) {
  const seen = new Map();
  return documents.flatMap((document) => {
    let name = fileName(document.id);
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    if (count > 1) name = `${name}-${count}`;
    const text = document.text.startsWith("\ufeff") ? `\ufeff${document.text}` : document.text;
    return [[`${name}.ann`, bratLines(document).map((line) => `${line}\n`).join("")], [`${name}.txt`, text]];
  });
}

function bratLines(document) {
  const points = new Offsets(document.text);
  const raw = document.infons?.brat === undefined ? [] : document.infons.brat.split("\n");
  const entities = document.entities.map((e) => [e, bratSpans(e, points)]).filter(([, spans]) => spans.length);
  const names = bratNames(entities.map(([e]) => e.infons?.id ?? ""), new Set(raw.flatMap(references)));
  const taken = new Set(raw.map((line) => line.split("\t")[0]));
  const [ids, notes] = [fresh("N", taken), fresh("#", taken)];
  const lines = entities.flatMap(([entity, spans], n) => {
    const where = spans.map(([start, end]) => `${start} ${end}`).join(";");
    const own = [`${names[n]}\t${oneLine(entity.type)} ${where}\t${oneLine(entity.text)}`];
    for (const id of entity.ids ?? []) {
      const told = entity.infons?.[`name of ${id}`] ?? "";
      const resource = /^[^\s:-][^\s:]*:./.test(id) ? id : `-:${id}`;
      own.push([ids.next().value, `Reference ${names[n]} ${oneLine(resource)}`, ...(told ? [oneLine(told)] : [])].join("\t"));
    }
    const note = bratNote(entity);
    return note ? [...own, `${notes.next().value}\tbiomark ${names[n]}\t${note}`] : own;
  });
  const known = new Map(entities.map(([e], n) => [e.infons?.id ?? names[n], names[n]]));
  const relations = (document.relations ?? []).flatMap(({ type, arguments: args = [], infons = {} }, n) => {
    const columns = args.map(([role, id], place) => `${role || `Arg${place + 1}`}:${known.get(id)}`);
    const line = `${infons.id ?? `R${n + 1}`}\t${type} ${columns.join(" ")}`;
    return args.every(([, id]) => known.has(id)) && /^R\S+\t\S+ [^\s:]+:\S+ [^\s:]+:\S+\s*$/.test(line) ? [line] : [];
  });
  return [...lines, ...relations, ...raw.filter((line) => references(line).every((name) => names.includes(name)))];
}

/** A mention's parts; brat has one for each line that a mention covers. */
function bratSpans({ spans }, points) {
  return spans.flatMap(([start, end]) => {
    const parts = [];
    const base = points.unit(start);
    let from = base;
    for (const ends of points.slice(start, end).matchAll(/[\r\n]+/g)) {
      if (!ends[0].includes("\n")) continue;
      if (from < base + ends.index) parts.push([from, base + ends.index]);
      from = base + ends.index + ends[0].length;
    }
    if (from < points.unit(end)) parts.push([from, points.unit(end)]);
    return parts.map(([a, b]) => [points.point(a), points.point(b)]);
  });
}

function bratNames(own, meant) {
  const kept = new Set(own.filter((id) => /^T\S+$/.test(id)));
  const taken = new Set([...kept, ...meant]);
  const used = new Set();
  const spare = fresh("T", new Set([...taken, ...own.map((_, n) => `T${n + 1}`)]));
  return own.map((id, n) => {
    const wanted = kept.has(id) ? id : `T${n + 1}`;
    const name = used.has(wanted) || (taken.has(wanted) && wanted !== id) ? spare.next().value : wanted;
    used.add(name);
    return name;
  });
}

function bratNote({ ids = [], infons = {}, score }) {
  const named = new Set(["id", ...ids.map((id) => `name of ${id}`)]);
  const others = Object.entries(infons).filter(([key]) => !named.has(key));
  const note = { ...(others.length ? { infons: Object.fromEntries(others) } : {}), ...(score === undefined ? {} : { score }) };
  return Object.keys(note).length ? pythonJson(note) : "";
}

function references(line) {
  return line.split("\t")[1]?.match(/(?<![\w.-])T\d+(?![\w.-])/g) ?? [];
}

function* fresh(letter, taken) {
  for (let n = 1; ; n += 1) if (!taken.has(`${letter}${n}`)) yield `${letter}${n}`;
}
