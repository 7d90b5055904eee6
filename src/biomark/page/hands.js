// What people do to texts with mouse, touch and keyboard.

import { extentOf, sameSpans } from "./documents.js";
import { neighbour, segments, whole } from "./offsets.js";
import { offsetOf, pieceOf } from "./text.js";

const DIGIT = /^Digit[1-9]$/; // the key of a digit on any keyboard
const words = new WeakMap();

/** Listens to the documents' element on behalf of the app. */
export class Hands {
  #drag = null; // { edge, text, steps, aside }: the handle that is held
  #find = null; // { index, letters, from }: the letters that were typed of a word, and where the search began
  #touch = false; // whether the last pointer was a finger or a pen
  #timer = 0;

  constructor(app, list, element) {
    this.app = app;
    this.list = list;
    element.addEventListener("click", (event) => this.#click(event));
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("pointerdown", (event) => this.#grab(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, () => this.#release());
    document.addEventListener("selectionchange", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#selected(), 120);
    });
  }

  /** Words that were selected by mouse or touch. */
  #selected() {
    const selection = getSelection();
    if (this.#drag || selection.isCollapsed || !selection.rangeCount) return;
    const range = selection.getRangeAt(0);
    const text = closest(range.startContainer, ".editable");
    if (!text || text !== closest(range.endContainer, ".editable")) return;
    const index = indexOf(text);
    const [start, end] = trimmed(this.app.documents[index].text, offsetOf(range.startContainer, range.startOffset), offsetOf(range.endContainer, range.endOffset));
    if (start >= end) return;
    const first = !this.app.target;
    this.app.select({ index, spans: [[start, end]], mention: null });
    if (first) this.list.reveal(); // a sheet of controls may have come up over it
  }

  #click(event) {
    this.#find = null;
    const text = event.target.closest(".editable");
    if (!text || event.target.closest(".handle") || !getSelection().isCollapsed) return;
    const piece = pieceOf(event.target);
    if (piece?.over.length) this.app.selectAt(indexOf(text), piece.start);
    else if (piece && this.#touch) this.#tap(indexOf(text), offsetOf(...caretAt(event.clientX, event.clientY)));
    else this.app.select(null);
    this.list.reveal();
  }

  /** A tap chooses a word, as marking words by touch is slow; a second one lets it go. */
  #tap(index, unit) {
    const place = wordPlaces(this.app.documents[index]).find(([start, end]) => start <= unit && unit <= end);
    const { target } = this.app;
    const again = place && target?.index === index && sameSpans(target.spans, [place]);
    this.app.select(place && !again ? { index, spans: [place], mention: null } : null);
  }

  #grab(event) {
    this.#touch = event.pointerType !== "mouse";
    const handle = event.target.closest(".handle");
    if (!handle) return;
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    const { left, top, height } = handle.getBoundingClientRect(); // the edge itself; a finger holds the handle beside it
    const aside = [left - event.clientX, top + height / 2 - event.clientY];
    this.#drag = { edge: handle.dataset.edge, text: handle.closest(".editable"), steps: this.app.history.steps, aside };
  }

  #release() {
    if (this.#drag) this.app.history.join(this.#drag.steps);
    this.#drag = null;
  }

  #move(event) {
    if (!this.#drag) return;
    const { edge, text, aside } = this.#drag;
    const caret = caretAt(event.clientX + aside[0], event.clientY + aside[1]);
    if (!caret || closest(caret[0], ".editable") !== text) return;
    const unit = offsetOf(...caret);
    if (unit === null) return;
    const { target } = this.app;
    if (!target) return;
    const [start, end] = [target.spans[0][0], target.spans.at(-1)[1]];
    if (edge === "start" ? unit < end : unit > start) this.app.resize(edge, whole(this.app.documents[target.index].text, unit));
  }

  #key(event) {
    const text = event.target.closest(".editable");
    if (!text || event.target !== text) return;
    const act = this.#search(event, indexOf(text)) ?? this.#action(event, indexOf(text));
    if (!act) return;
    event.preventDefault();
    getSelection().removeAllRanges();
    act();
    this.list.reveal();
  }

  /** What a key does while a word is searched by its first letters; undefined if it is no letter, which ends the search. */
  #search({ key, code, ctrlKey, altKey, metaKey, shiftKey }, index) {
    const own = this.#find?.index === index ? this.#find : null;
    this.#find = null;
    if (!own || ctrlKey || altKey || metaKey || (shiftKey && DIGIT.test(code))) return undefined;
    if (key === "Shift") return () => (this.#find = own);
    if (key === "Enter" || key === "Escape") return () => this.app.announce("The search has ended.");
    if (key !== "Backspace" && (Array.from(key).length > 1 || /[0-9]/.test(key))) return undefined;
    return () => this.#seek(index, key === "Backspace" ? own.letters.slice(0, -1) : own.letters + key, own.from);
  }

  /** Choose the next word that begins with these letters; behind the last word comes the first one. */
  #seek(index, letters, from) {
    const { app } = this;
    const { text } = app.documents[index];
    this.#find = { index, letters, from };
    const places = wordPlaces(app.documents[index]).filter(([start]) => text.slice(start, start + letters.length).toLowerCase() === letters.toLowerCase());
    const place = places.find(([start]) => start >= from) ?? places[0];
    if (letters && place) app.select({ index, spans: [place], mention: null });
    else app.announce(letters ? `No word begins with ${letters}.` : "Type the first letters of a word, then the number of a type.");
  }

  /** What a key does; undefined if nothing. */
  #action(event, index) {
    const { app } = this;
    const { key, shiftKey, altKey } = event;
    const command = event.ctrlKey || event.metaKey;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (step && shiftKey) return () => this.#grow(index, "end", step, command);
    if (step && altKey) return () => this.#grow(index, "start", step, command);
    if (command || altKey) return undefined;
    if (step) return () => this.#word(index, step);
    if (/^[1-9]$/.test(key)) return () => app.mark(app.typeNames[key - 1] ?? "");
    if (shiftKey && DIGIT.test(event.code)) return () => this.#everywhere(() => app.mark(app.typeNames[event.code.at(-1) - 1] ?? ""));
    if (shiftKey && key === "Delete") return () => this.#everywhere(() => app.drop());
    return {
      n: () => this.#mention(index, 1),
      p: () => this.#mention(index, -1),
      j: () => this.#document(index, 1),
      k: () => this.#document(index, -1),
      f: () => this.#seek(index, "", app.target?.index === index ? app.target.spans.at(-1)[1] : 0),
      a: () => app.setEverywhere(!app.everywhere),
      o: () => app.target && app.selectAt(index, app.target.spans[0][0]),
      u: () => app.undo(),
      r: () => app.redo(),
      Delete: () => app.drop(),
      Backspace: () => app.drop(),
      Escape: () => app.select(null),
      Enter: () => document.querySelector("#inspector button, #inspector input")?.focus(),
    }[key];
  }

  /** Do something once for all equal mentions. */
  #everywhere(act) {
    const before = this.app.everywhere;
    this.app.everywhere = true;
    act();
    this.app.setEverywhere(before);
  }

  /** The next or previous word. */
  #word(index, step) {
    const places = wordPlaces(this.app.documents[index]);
    const own = this.app.target?.index === index ? this.app.target.spans : null;
    const at = !own ? (step > 0 ? 0 : places.length - 1) : step > 0 ? places.findIndex(([start]) => start >= own.at(-1)[1]) : places.findLastIndex(([, end]) => end <= own[0][0]);
    if (places[at]) this.app.select({ index, spans: [places[at]], mention: null });
  }

  /** The next or previous mention; behind the last one of a document comes the first one of the next. */
  #mention(index, step) {
    const { app } = this;
    const own = app.target?.index === index ? app.target : null;
    for (let n = index; n >= 0 && n < app.documents.length; n += step) {
      const mentions = [...app.shown(app.documents[n])].sort((a, b) => a.spans[0][0] - b.spans[0][0] || extentOf(b)[1] - extentOf(a)[1]);
      let at = step > 0 ? 0 : mentions.length - 1;
      if (n === index && own?.mention) at = mentions.indexOf(own.mention) + step;
      else if (n === index && own) at = step > 0 ? mentions.findIndex((e) => e.spans[0][0] >= own.spans[0][0]) : mentions.findLastIndex((e) => e.spans[0][0] < own.spans[0][0]);
      const mention = mentions[at];
      if (!mention) continue;
      app.select({ index: n, spans: mention.spans, mention });
      this.list.article(n).view.element.focus({ preventScroll: true });
      return;
    }
    app.announce(step > 0 ? "No mention follows." : "No mention comes before.");
  }

  #document(index, step) {
    const next = index + step;
    if (next < 0 || next >= this.app.documents.length) return;
    const { view, element } = this.list.article(next);
    this.app.select(null);
    this.list.article(index).setTabStop(false);
    this.list.article(next).setTabStop(true);
    element.scrollIntoView({ block: "start" });
    view.element.focus({ preventScroll: true });
    this.app.announce(`Document ${this.app.documents[next].id}, ${this.app.shown(this.app.documents[next]).length} mentions.`);
  }

  /** Move an edge of the selection by a word, or by a character. */
  #grow(index, edge, step, byCharacter) {
    const { target, documents } = this.app;
    if (target?.index !== index) return;
    const { text } = documents[index];
    const unit = edge === "start" ? target.spans[0][0] : target.spans.at(-1)[1];
    this.app.resize(edge, byCharacter ? neighbour(text, unit, step) : wordEdge(documents[index], edge, unit, step));
  }
}

function wordPlaces(document) {
  if (!words.has(document.offsets)) words.set(document.offsets, segments(document.text, "word"));
  return words.get(document.offsets);
}

function wordEdge(document, edge, unit, step) {
  const edges = wordPlaces(document).map(([start, end]) => (edge === "start" ? start : end));
  return (step > 0 ? edges.find((place) => place > unit) : edges.findLast((place) => place < unit)) ?? unit;
}

function trimmed(text, from, to) {
  let [start, end] = [whole(text, from ?? 0), to ?? 0];
  if (end < text.length && whole(text, end) !== end) end = neighbour(text, end, 1);
  while (start < end && /\s/.test(text[start])) start += 1;
  while (end > start && /\s/.test(text[end - 1])) end -= 1;
  return [start, end];
}

function caretAt(x, y) {
  if (document.caretPositionFromPoint) {
    const caret = document.caretPositionFromPoint(x, y);
    return caret && [caret.offsetNode, caret.offset];
  }
  const range = document.caretRangeFromPoint?.(x, y);
  return range && [range.startContainer, range.startOffset];
}

function closest(node, selector) {
  return (node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement)?.closest(selector) ?? null;
}

function indexOf(element) {
  return Number(element.closest("article").dataset.index);
}
