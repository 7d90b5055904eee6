// BioC JSON; what is written equals what biomark.formats.bioc_json writes.

import { splitIds } from "./identifiers.js";
import { pythonJson, pythonNumber } from "./json.js";
import { Offsets } from "./offsets.js";

const ID_KEYS = ["identifier", "mesh", "omim", "ncbigene", "geneid", "ncbitaxonomy", "ncbitaxon", "taxonomyid", "rsid"];
const NO_ARGUMENTS = ["type", "relation", "novel", "score"];

/** A collection, a document a line. Documents come in JSON Lines form. */
export function biocJson(documents) {
  const rows = documents.map((document, n) => `${n ? ",\n" : "\n"}${pythonJson(recordOf(document))}`);
  return `{"source": "biomark", "date": "", "key": "biomark.key", "infons": {}, "documents": [${rows.join("")}\n]}\n`;
}

function recordOf(document) {
  const points = new Offsets(document.text);
  const passages = passagesOf(document, points);
  const home = (place) => passages.find(({ end }) => place < end);
  const infons = withSentences(document, points, home);
  const marked = (document.alternatives ?? []).map((e) => ({ ...e, infons: { ...e.infons, biomark: "alternative" } }));
  const order = (e) => passages.indexOf(home(e.spans[0][0]));
  const entities = [...document.entities, ...marked].sort((a, b) => order(a) - order(b));
  entities.forEach((entity, n) => home(entity.spans[0][0]).part.annotations.push(annotationOf(entity, n)));
  const known = new Set(entities.flatMap((e) => (e.infons?.id === undefined ? [] : [e.infons.id])));
  const relations = (document.relations ?? []).map((relation, n) => linkOf(relation, n, known));
  return { id: document.id, infons, passages: passages.map(({ part }) => part), annotations: [], relations };
}

function passagesOf(document, points) {
  const found = [];
  let at = 0;
  const put = (start, end, infons) => {
    found.push({ start, end, part: { offset: start, infons, text: points.slice(start, end), sentences: [], annotations: [], relations: [] } });
    at = end;
  };
  for (const { start, end, kind, infons = {} } of document.passages ?? []) {
    const between = points.slice(at, start);
    if (between && between !== `${" ".repeat(start - at - 1)}\n`) put(at, start, { biomark: "text" });
    put(start, end, { ...(kind ? { type: kind } : {}), ...without(infons, "type") });
  }
  if (at < points.points) put(at, points.points, { biomark: "text" });
  return found;
}

/** Puts the sentences into their passages; the infons of the document itself are what is left. */
function withSentences(document, points, home) {
  const infons = { ...document.infons };
  for (const [start, end] of document.sentences ?? []) {
    const passage = home(start);
    if (!passage || start < passage.start || end > passage.end) continue;
    const own = {};
    const prefix = `sentence ${start} `;
    for (const key of Object.keys(infons).filter((name) => name.startsWith(prefix))) {
      own[key.slice(prefix.length)] = infons[key];
      delete infons[key];
    }
    passage.part.sentences.push({ offset: start, infons: own, text: points.slice(start, end), sentences: [], annotations: [], relations: [] });
  }
  return infons;
}

function annotationOf(entity, number) {
  const infons = { ...(entity.type ? { type: entity.type } : {}), ...withIds(entity) };
  if (entity.score !== undefined) infons.score = pythonNumber(entity.score);
  const id = infons.id ?? String(number);
  delete infons.id;
  const locations = entity.spans.map(([start, end]) => ({ offset: start, length: end - start }));
  return { id, infons, text: entity.text, locations };
}

/** The infons from which a reader gets the identifiers, and the mention's own infons again. */
function withIds({ infons = {}, ids = [] }) {
  const own = without(infons, "type");
  for (const candidate of [own, { ...own, identifier: ids.join("|") }]) {
    const [found, left] = readIds(candidate);
    if (pythonJson(found) === pythonJson(ids) && sameFields(left, own)) return candidate;
  }
  return { ...own, "biomark ids": pythonJson(ids) };
}

function readIds(infons) {
  const left = { ...infons };
  if ("biomark ids" in left) {
    delete left["biomark ids"];
    return [JSON.parse(infons["biomark ids"]), left];
  }
  const ids = [];
  for (const [key, value] of Object.entries(infons)) {
    if (!ID_KEYS.includes(key.toLowerCase().replace(/[ _]/g, ""))) continue;
    const listed = value.startsWith("[") ? JSON.parse(value).map(String) : splitIds(value);
    ids.push(...(ids.length ? listed.filter((id) => !ids.includes(id)) : listed));
  }
  if (ids.length && ids.join("|") === left.identifier) delete left.identifier;
  return [ids, left];
}

function linkOf(relation, number, known) {
  const infons = { type: relation.type, ...without(relation.infons ?? {}, "type") };
  const args = relation.arguments ?? [];
  const id = infons.id ?? `R${number}`;
  delete infons.id;
  const named = Object.fromEntries(args.map(([role, target], n) => [role || `entity${n + 1}`, target]));
  const names = Object.keys(named);
  const plain =
    names.length === args.length &&
    !args.some(([role]) => /^entity\d/.test(role)) &&
    Object.keys(infons).every((key) => NO_ARGUMENTS.includes(key)) &&
    !names.some((name) => [...NO_ARGUMENTS, "id"].includes(name));
  if (plain && !args.every(([, target]) => known.has(target))) return { id, infons: { ...infons, ...named }, nodes: [] };
  return { id, infons, nodes: args.map(([role, refid]) => ({ refid, role })) };
}

function without(fields, name) {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name));
}

function sameFields(some, others) {
  const keys = Object.keys(some);
  return keys.length === Object.keys(others).length && keys.every((key) => some[key] === others[key]);
}
