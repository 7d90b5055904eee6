// The documents, one below the other. Those near the window are drawn; the rest follow while the browser is idle.

import { counted, make } from "./dom.js";
import { differences, KINDS } from "./differences.js";
import { DEEPEST } from "./layout.js";
import { visible } from "./offsets.js";
import { placeOf, TextView } from "./text.js";

const AHEAD = 2000; // documents that are drawn without being near the window, so that the browser's search finds them

/** Shows all documents of the app in an element. */
export class DocumentList {
  #articles = [];
  #near = new Set();
  #idle = 0;

  constructor(app, element) {
    this.app = app;
    this.element = element;
    this.observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "1200px 0px" });
    app.addEventListener("documents", () => this.reset());
    app.addEventListener("filter", () => this.#stale(this.#articles));
    app.addEventListener("change", ({ detail }) => this.#stale(detail.map((n) => this.#articles[n])));
    app.addEventListener("target", ({ detail: { before } }) => this.#retarget(before));
  }

  reset() {
    this.observer.disconnect();
    this.#near.clear();
    this.#articles = this.app.documents.map((_, n) => new Article(this.app, n));
    this.element.replaceChildren(...this.#articles.map(({ element }) => element));
    this.#articles.slice(0, 3).forEach((article) => article.draw());
    this.#articles.forEach(({ element }) => this.observer.observe(element));
    this.#goOn();
  }

  /** Brings what is selected into view. */
  reveal() {
    const { target } = this.app;
    if (!target) return;
    const { view } = this.article(target.index);
    const block = view.blockAt(target.spans[0][0]);
    (block.querySelector(".current") ?? block).scrollIntoView({ block: "nearest", inline: "nearest" });
    const { top, bottom } = rangeOf(view, target.spans[0]).getBoundingClientRect(); // the block may be longer than the window
    const { scrollPaddingTop, scrollPaddingBottom } = getComputedStyle(document.documentElement);
    const above = top - parseFloat(scrollPaddingTop);
    const below = bottom - innerHeight + parseFloat(scrollPaddingBottom);
    if (above < 0 || below > 0) scrollBy(0, above < 0 ? above : Math.min(above, below));
  }

  /** The article of a document, drawn. */
  article(index) {
    this.#articles[index].draw();
    return this.#articles[index];
  }

  #retarget(before) {
    const indexes = new Set([before?.index, this.app.target?.index].filter((n) => n !== undefined));
    this.#stale([...indexes].map((n) => this.#articles[n]));
    for (const n of new Set([...indexes, 0])) this.#articles[n]?.setTabStop(n === (this.app.target?.index ?? 0));
    this.#highlight();
  }

  #highlight() {
    if (!CSS.highlights) return;
    CSS.highlights.delete("target");
    const { target } = this.app;
    if (!target || target.mention) return;
    const { view } = this.article(target.index);
    CSS.highlights.set("target", new Highlight(...target.spans.map((span) => rangeOf(view, span))));
  }

  #stale(articles) {
    for (const article of articles.filter(Boolean)) {
      article.stale = true;
      if (this.#near.has(article) || article.index < 3) article.draw();
    }
    this.#goOn();
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const article = this.#articles[Number(target.dataset.index)];
      if (article?.element !== target) continue;
      if (isIntersecting) {
        this.#near.add(article);
        article.draw();
      } else this.#near.delete(article);
    }
  }

  #goOn() {
    if (this.#idle) return;
    const later = window.requestIdleCallback ?? ((act) => setTimeout(() => act({ timeRemaining: () => 8 }), 50));
    this.#idle = later((deadline) => {
      this.#idle = 0;
      const waiting = this.#articles.slice(0, AHEAD).filter(({ stale }) => stale);
      let n = 0;
      while (n < waiting.length && deadline.timeRemaining() > 4) waiting[n++].draw();
      if (n < waiting.length) this.#goOn();
    });
  }
}

/** A span of a text that is shown, as a range of the page. */
function rangeOf(view, [start, end]) {
  const range = new Range();
  range.setStart(...placeOf(view.blockAt(start), start));
  range.setEnd(...placeOf(view.blockAt(end - 1), end));
  return range;
}

/** One document: its id, its text, and beside it the reference if there is one. */
class Article {
  stale = true;
  #differs = null;

  constructor(app, index) {
    this.app = app;
    this.index = index;
    const { id, text } = app.documents[index];
    this.element = make("article", { "data-index": String(index), "aria-labelledby": `document-${index}` });
    this.element.style.setProperty("contain-intrinsic-size", `auto ${Math.ceil(text.length / 80) * 1.9 + 4}rem`);
    this.note = make("footer", { hidden: true });
    this.heading = make("h2", { id: `document-${index}`, dir: "auto" }, visible(id) || "–");
    this.element.append(this.heading);
  }

  setTabStop(on) {
    if (this.view) this.view.element.tabIndex = on ? 0 : -1;
  }

  draw() {
    if (!this.stale) return;
    this.stale = false;
    if (!this.view) this.#build();
    const { app, index } = this;
    const document = app.documents[index];
    const entities = app.shown(document);
    const target = app.target?.index === index ? app.target : null;
    const marks = this.reference ? this.#compare(app.shown(this.reference), entities) : null;
    this.view.show(document, entities, { target, marks: marks?.predicted });
    if (this.reference) this.beside.show(this.reference, app.shown(this.reference), { marks: marks.gold });
    this.note.hidden = !this.view.hidden;
    this.note.textContent = `${counted(this.view.hidden, "mention")} inside ${DEEPEST} others or more: not shown`;
  }

  #build() {
    const { app, index } = this;
    const document = app.documents[index];
    this.view = new TextView(app.types);
    const { element } = this.view;
    const label = `Text of document ${visible(document.id)}`;
    for (const [name, value] of Object.entries({ role: "group", "aria-label": label, "aria-describedby": "keys" })) element.setAttribute(name, value);
    element.tabIndex = index === (app.target?.index ?? 0) ? 0 : -1;
    element.classList.add("editable");
    const other = app.reference?.documents.get(document.id);
    if (app.reference && other?.text === document.text) {
      this.reference = other;
      this.beside = new TextView(app.types);
      this.counts = make("p", { class: "counts" });
      const columns = [
        make("section", {}, make("h3", {}, app.reference.name), this.beside.element),
        make("section", {}, make("h3", {}, "On this page"), element),
      ];
      this.element.append(this.counts, make("div", { class: "columns" }, ...columns));
    } else {
      if (app.reference) this.element.append(make("p", { class: "counts" }, `${app.reference.name} has no document with this id and text.`));
      this.element.append(element);
    }
    this.element.append(this.note);
  }

  #compare(gold, predicted) {
    const found = differences(gold, predicted);
    const marks = { gold: new Map(), predicted: new Map() };
    for (const [kind, g, p] of found) {
      if (g) marks.gold.set(g, kind);
      if (p) marks.predicted.set(p, kind);
    }
    const kinds = Object.keys(KINDS).map((kind) => [kind, found.filter(([own]) => own === kind).length]);
    const shown = kinds.filter(([, count]) => count).map(([kind, count]) => make("span", { class: `kind ${kind}`, title: KINDS[kind] }, `${count} ${kind}`));
    this.counts.replaceChildren(...(shown.length ? shown : ["No differences"]));
    return marks;
  }
}
