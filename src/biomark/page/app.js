// The page: its state, and what can be done with it. Panels show the state and call these methods.

import { correctionOf, equalMentions, occurrences, uncorrected, withAdded, withChanged, withDropped } from "./corrections.js";
import { documentOf, extentOf, jsonOf, sameSpans, wordsOf } from "./documents.js";
import { counted } from "./dom.js";
import { History } from "./history.js";
import { visible } from "./offsets.js";
import { fingerprint, Storage } from "./storage.js";
import { sameMention } from "./text.js";
import { Types } from "./types.js";

/** Holds the documents, what is selected and what is shown; tells its listeners what has changed. */
export class App extends EventTarget {
  target = null; // { index, spans, mention }: what is selected; mention is null for words that are none
  hidden = new Set(); // types that are not shown
  least = 0; // the lowest score that is shown
  everywhere = false; // whether an action goes for all equal mentions
  part = null; // the target that gets the next selection as a part
  reference = null; // { name, documents: Map by id } to compare with
  who = "";
  #turn = Promise.resolve(); // settled once the last addition or removal of documents is complete
  #saving = 0; // how many changes the browser's database has not taken yet
  #types = [];
  #held; // the documents that came with the page
  #places; // where each document is in the browser's database
  #shown = new WeakMap(); // the mentions of documents that are shown, until types or score change

  constructor(settings, documents, service) {
    super();
    this.types = new Types(settings.types, settings.palette);
    this.service = service;
    this.storage = new Storage(service.present ? "service" : fingerprint(documents.map((d) => d.id + d.text).join("\n")));
    this.#held = documents;
    this.#places = documents.map((_, n) => n);
    this.history = new History(documents, (indexes) => this.#changed(indexes));
    this.#types = Object.keys(settings.types);
    this.#note(documents);
  }

  get documents() {
    return this.history.documents;
  }

  /** All types, those of biomark first, unless the documents have none of them. */
  get typeNames() {
    return this.#types;
  }

  /** Continue the work of an earlier visit. */
  async restore() {
    this.who = (await this.storage.setting("who")) ?? "";
    const documents = this.documents.slice();
    for (const [place, text] of await this.storage.kept()) {
      const n = place < this.#held.length ? place : documents.length;
      documents[n] = documentOf(JSON.parse(text));
      this.#places[n] = place;
    }
    this.history.reset(documents);
    this.#note(documents);
    this.#tell("documents");
  }

  /** More documents, behind those that there are. Ids that are taken get a number. */
  put(documents) {
    return this.#inTurn(async () => {
      const ids = new Set(this.documents.map(({ id }) => id));
      const fresh = documents.map((document) => {
        let { id } = document;
        for (let n = 2; ids.has(id); n += 1) id = `${document.id}-${n}`;
        ids.add(id);
        return id === document.id ? document : { ...document, id };
      });
      const start = this.documents.length;
      const places = await this.#saved(this.storage.add(this.#held.length, fresh.map(keptText)));
      this.#places.push(...(places ?? fresh.map((_, n) => start + n)));
      this.history.extend(fresh);
      this.#note(fresh);
      this.#tell("documents");
    });
  }

  /** Forget all corrections, and of a page with a service all documents. */
  discard() {
    return this.#inTurn(async () => {
      const others = this.service.present ? [] : this.documents.slice(this.#held.length).map(uncorrected);
      this.target = null;
      this.part = null;
      this.reference = null;
      this.history.reset([...this.#held, ...others]);
      this.#places.length = this.documents.length;
      this.#tell("documents");
      this.announce("All corrections are discarded.");
      // The page changes first, and the database keeps the order of changes: a correction that is made meanwhile stays.
      await Promise.all([this.#saved(this.storage.forget()), this.#keep(others.map((_, n) => this.#held.length + n))]);
    });
  }

  /** The mentions of a document that are shown. */
  shown(document) {
    if (!this.#shown.has(document)) {
      const entities = document.entities.filter((e) => !this.hidden.has(this.types.canonical(e.type)) && (e.score === null || e.score >= this.least));
      this.#shown.set(document, entities);
    }
    return this.#shown.get(document);
  }

  /** How many mentions of each type there are, shown or not. */
  counts() {
    const counts = new Map(this.#types.map((type) => [type, 0]));
    for (const { entities } of this.documents)
      for (const { type } of entities) counts.set(this.types.canonical(type), (counts.get(this.types.canonical(type)) ?? 0) + 1);
    return counts;
  }

  /** Change what is shown: `least`, or whether a type is hidden. */
  filter(change) {
    if ("least" in change) this.least = change.least;
    this.#shown = new WeakMap();
    if ("type" in change) this.hidden[change.shown ? "delete" : "add"](change.type);
    this.#tell("filter");
  }

  /** The documents as they were before anybody corrected them. */
  get uncorrected() {
    return this.documents.map(uncorrected);
  }

  compareWith(reference) {
    this.reference = reference;
    this.#tell("documents");
  }

  /** Select words or a mention; null: nothing. */
  select(target, { say = true } = {}) {
    if (target && this.part && this.part.index === target.index && !target.mention) {
      const { index, mention } = this.part;
      this.part = null;
      const spans = joined([...mention.spans, ...target.spans]);
      this.#replace([[index, mention, { spans }]], "A part is added.");
      return;
    }
    this.part = null;
    const before = this.target;
    this.target = target;
    this.dispatchEvent(new CustomEvent("target", { detail: { before } }));
    if (target && say) this.announce(this.describe(target));
  }

  /** The mention with the shortest extent at a place, or the next one if that is selected. */
  selectAt(index, unit) {
    const over = this.over(index, unit);
    if (!over.length) return this.select(null);
    const next = this.target?.index === index ? over.indexOf(this.target.mention) + 1 : 0;
    const mention = over[next % over.length];
    return this.select({ index, spans: mention.spans, mention });
  }

  /** The mentions over a place, the shortest first. */
  over(index, unit) {
    const length = (e) => extentOf(e)[1] - extentOf(e)[0];
    return this.shown(this.documents[index])
      .filter((e) => e.spans.some(([start, end]) => start <= unit && unit < end))
      .sort((a, b) => length(a) - length(b));
  }

  /** Mentions like the selected one, as [index, mention]; of words that are no mention, where they stand. */
  equal() {
    if (!this.target) return [];
    const { index, spans, mention } = this.target;
    if (mention) return equalMentions(this.documents, index, mention);
    return occurrences(this.documents, wordsOf(this.documents[index], spans));
  }

  /** Give the selection a type: a new mention, or another type of the one that is selected. */
  mark(type) {
    if (!this.target || !type.trim()) return;
    const { index, spans, mention } = this.target;
    this.#note([{ entities: [{ type }] }]);
    if (mention) {
      const all = this.everywhere ? this.equal() : [[index, mention]];
      this.#replace(all.map(([n, e]) => [n, e, { type }]), `${counted(all.length, "mention")} now of type ${this.types.label(type)}.`);
      return;
    }
    const places = this.everywhere && spans.length === 1 ? this.equal().map(([n, span]) => [n, [span]]) : [];
    const changes = new Map();
    const now = this.#by();
    for (const [n, where] of [[index, spans], ...places]) {
      const document = changes.get(n) ?? this.documents[n];
      const taken = document.entities.some((e) => e.type === type && e.spans.some(([a, b]) => where.some(([c, d]) => a < d && c < b)));
      if (!taken) changes.set(n, withAdded(document, where, type, now));
    }
    const size = [...changes].reduce((sum, [n, document]) => sum + document.entities.length - this.documents[n].entities.length, 0);
    this.history.change(changes);
    const added = this.documents[index].entities.find((e) => e.type === type && sameSpans(e.spans, spans));
    this.select(added ? { index, spans, mention: added } : this.target, { say: false });
    this.announce(`${counted(size, "mention")} added, ${this.types.label(type)}.`);
  }

  drop() {
    if (!this.target?.mention) return;
    const { index, spans, mention } = this.target;
    const all = this.everywhere ? this.equal() : [[index, mention]];
    const changes = new Map();
    const now = this.#by();
    for (const [n, e] of all) changes.set(n, withDropped(changes.get(n) ?? this.documents[n], e, now));
    this.history.change(changes);
    this.select({ index, spans, mention: null }, { say: false });
    this.announce(`${counted(all.length, "mention")} dropped.`);
  }

  /** Move an edge ("start" or "end") of the selection to a place; one that would leave no character stays. */
  resize(edge, unit) {
    if (!this.target) return;
    const { index, spans, mention } = this.target;
    const moved = withEdge(spans, edge, Math.max(0, Math.min(unit, this.documents[index].text.length)));
    if (!moved || sameSpans(moved, spans)) return;
    if (!mention) return void this.select({ index, spans: moved, mention: null });
    const by = edge === "start" ? moved[0][0] - spans[0][0] : moved.at(-1)[1] - spans.at(-1)[1];
    const words = wordsOf(this.documents[index], moved);
    const all = (this.everywhere ? this.equal() : [[index, mention]]).flatMap(([n, e]) => {
      const other = withEdge(e.spans, edge, (edge === "start" ? e.spans[0][0] : e.spans.at(-1)[1]) + by);
      return other && wordsOf(this.documents[n], other).toLowerCase() === words.toLowerCase() ? [[n, e, { spans: other }]] : [];
    });
    this.#replace(all, `Now: ${words}`);
  }

  addPart() {
    this.part = this.target?.mention ? this.target : null;
    this.announce("Select the words that are to be a part of this mention.");
  }

  undo() {
    this.history.undo();
    this.announce("Undone.");
  }

  redo() {
    this.history.redo();
    this.announce("Done again.");
  }

  setEverywhere(on) {
    this.everywhere = on;
    this.dispatchEvent(new CustomEvent("target", { detail: { before: this.target } }));
  }

  setWho(who) {
    this.who = who.trim();
    this.storage.set("who", this.who);
  }

  announce(text) {
    this.dispatchEvent(new CustomEvent("announce", { detail: visible(text) }));
  }

  /** What is selected, in a sentence for people who hear the page. */
  describe({ index, spans, mention }) {
    const document = this.documents[index];
    const words = wordsOf(document, spans);
    if (!mention) return `${words}: selected, no mention.`;
    const score = mention.score === null ? "" : `, score ${mention.score.toFixed(2)}`;
    const corrected = correctionOf(mention);
    return `${words}: ${this.types.label(mention.type)}${score}${corrected ? `, ${corrected.how} by ${corrected.who}` : ""}.`;
  }

  #replace(changes, told) {
    const documents = new Map();
    const now = this.#by();
    for (const [n, mention, values] of changes) documents.set(n, withChanged(documents.get(n) ?? this.documents[n], mention, values, now));
    const { index } = this.target;
    const [, , values] = changes.find(([n, mention]) => n === index && mention === this.target.mention) ?? changes[0] ?? [];
    const wanted = { ...this.target.mention, ...values };
    this.history.change(documents);
    const mention = sameMention(this.documents[index], wanted);
    if (mention) this.select({ index, spans: mention.spans, mention }, { say: false });
    this.announce(told);
  }

  #by() {
    return { who: this.who || "anonymous", when: new Date().toISOString().replace(/\.\d+/, "") };
  }

  #changed(indexes) {
    const { target } = this;
    if (target && indexes.includes(target.index)) {
      const mention = target.mention && sameMention(this.documents[target.index], target.mention);
      this.target = { ...target, mention: mention ?? null };
    }
    this.dispatchEvent(new CustomEvent("change", { detail: indexes }));
    this.#keep(indexes);
  }

  #keep(indexes) {
    return this.#saved(this.storage.keep(indexes.map((n) => [this.#places[n], keptText(this.documents[n])])));
  }

  /** What the browser's database answers, once it has; people see meanwhile that work is not saved yet. */
  async #saved(answer) {
    this.dispatchEvent(new CustomEvent("saving"));
    this.#saving += 1;
    const kept = await answer;
    this.#saving -= 1;
    if (!kept || !this.#saving) this.dispatchEvent(new CustomEvent("saved", { detail: Boolean(kept) }));
    return kept;
  }

  /** Add or remove documents after the additions and removals before, even if one of these has failed. */
  #inTurn(act) {
    const done = this.#turn.then(act);
    this.#turn = done.catch(() => {});
    return done;
  }

  #note(documents) {
    const known = new Set(this.#types.map((type) => type.toLowerCase()));
    for (const { entities } of documents)
      for (const { type } of entities) {
        const name = this.types.canonical(type);
        if (!known.has(name.toLowerCase())) this.#types = [...this.#types, name];
        known.add(name.toLowerCase());
      }
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

/** The documents that the page holds, and its settings. */
export function held() {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const lines = document.getElementById("documents").textContent.split("\n").filter((line) => line.trim());
  return [settings, lines.map((line) => documentOf(JSON.parse(line)))];
}

/** A document as the browser keeps it. */
function keptText(document) {
  const split = document.split.map(([start, end]) => [document.offsets.point(start), document.offsets.point(end)]);
  return JSON.stringify({ ...jsonOf(document), split });
}

/** Spans with another beginning or end, or null if a part would be empty. */
function withEdge(spans, edge, unit) {
  const moved = spans.map((span) => [...span]);
  if (edge === "start") moved[0][0] = unit;
  else moved.at(-1)[1] = unit;
  const [start, end] = edge === "start" ? moved[0] : moved.at(-1);
  return start < end && unit >= 0 && moved.every(([from], n) => n === 0 || from >= moved[n - 1][1]) ? moved : null;
}

/** Spans in order; those that touch or overlap are one. */
function joined(spans) {
  const parts = [];
  for (const [start, end] of spans.map((span) => [...span]).sort((a, b) => a[0] - b[0])) {
    if (parts.length && start <= parts.at(-1)[1]) parts.at(-1)[1] = Math.max(parts.at(-1)[1], end);
    else parts.push([start, end]);
  }
  return parts;
}
