// Files that the page reads by itself: JSON Lines, PubTator and plain text, beside brat's pairs (brat.js). All others go through the service.

import { documentOf } from "./documents.js";

/** The documents of a file. Throws an Error that says what is wrong and where. */
export function readFile(name, content) {
  const text = content.replace(/^\ufeff/, "");
  if (/^\s*\{/.test(text) && /\.(jsonl|ndjson|json)$/i.test(name)) return readJsonLines(name, text);
  if (/^\s*[^|\t\n]*\|t\|/.test(text)) return readPubtator(name, text);
  if (/\.(txt|text|md)$/i.test(name)) return [documentOf({ id: name.replace(/\.\w+$/, ""), text })];
  throw new Error(`${name}: without a service the page reads JSON Lines, PubTator, pairs of brat (.txt and .ann) and plain text; convert the file with "biomark convert"`);
}

function readJsonLines(name, text) {
  return text.split("\n").flatMap((line, n) => {
    if (!line.trim()) return [];
    try {
      return [documentOf(JSON.parse(line))];
    } catch (error) {
      throw new Error(`${name}, line ${n + 1}: ${error.message}`, { cause: error });
    }
  });
}

function readPubtator(name, text) {
  return text.split(/\r?\n(?:\s*\r?\n)+/).flatMap((block) => {
    const lines = block.split(/\r?\n/).filter((line) => line.trim());
    const title = lines[0]?.match(/^([^|\t]*)\|t\|(.*)$/s);
    if (!title) return [];
    const abstract = lines[1]?.match(/^[^|\t]*\|a\|(.*)$/s)?.[1] ?? "";
    const entities = lines.slice(1).flatMap((line) => {
      const [, start, end, , type, ids] = line.split("\t");
      if (!/^\d+$/.test(start ?? "") || !/^\d+$/.test(end ?? "")) return [];
      return [{ spans: [[Number(start), Number(end)]], type, ids: ids && !/^-1?$/.test(ids) ? ids.split("|") : [] }];
    });
    const points = (part) => Array.from(part).length;
    const first = points(title[2]);
    const passages = [{ start: 0, end: first, kind: "title" }];
    if (abstract) passages.push({ start: first + 1, end: first + 1 + points(abstract), kind: "abstract" });
    try {
      return [documentOf({ id: title[1], text: abstract ? `${title[2]}\n${abstract}` : title[2], passages: passages.filter((p) => p.start < p.end), entities })];
    } catch (error) {
      throw new Error(`${name}: ${error.message}`, { cause: error });
    }
  });
}
