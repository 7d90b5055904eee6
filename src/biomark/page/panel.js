// Types, the lowest score, and the list of documents.

import { counted, make } from "./dom.js";
import { visible } from "./offsets.js";

const LISTED = 500; // documents in the list; the filter finds the others

/** Shows what there is, and changes what is shown. */
export class Panel {
  constructor(app, element) {
    this.app = app;
    this.types = make("ul", { class: "types" });
    this.count = make("output", { for: "least" }, "0.00");
    this.slider = make("input", { id: "least", type: "range", min: "0", max: "1", step: "0.01", value: "0", autocomplete: "off", oninput: () => this.#least() });
    this.search = make("input", { type: "search", placeholder: "Find a document", "aria-label": "Find a document by its id or words", autocomplete: "off", oninput: () => this.#list() });
    this.list = make("ul", { class: "documents" });
    this.summary = make("p", { class: "soft" });
    this.who = make("input", { id: "who", autocomplete: "name", maxlength: "80", placeholder: "anonymous", onchange: () => app.setWho(this.who.value) });
    this.heading = make("h2", {}, "Documents");
    element.append(
      make("section", {}, make("h2", {}, "Types"), this.types),
      make("section", {}, make("h2", {}, make("label", { for: "least" }, "Lowest score")), make("div", { class: "row" }, this.slider, this.count), make("p", { class: "soft" }, "The stronger the colour, the higher the score. Mentions without a score are always shown.")),
      make("section", { class: "wide" }, this.heading, this.summary, this.search, this.list),
      make("section", {}, make("h2", {}, make("label", { for: "who" }, "Your name")), this.who, make("p", { class: "soft" }, "Is kept with each of your corrections.")),
    );
    for (const name of ["documents", "change"]) app.addEventListener(name, () => this.show());
    this.show();
  }

  show() {
    const { app } = this;
    this.who.value = app.who;
    const counts = app.counts();
    const rows = [...counts].filter(([type, count]) => count || app.hidden.has(type)).map(([type, count]) => this.#row(type, count));
    this.types.replaceChildren(...(rows.length ? rows : [make("li", { class: "soft" }, "No mentions yet")]));
    const mentions = [...counts.values()].reduce((sum, count) => sum + count, 0);
    this.summary.textContent = `${counted(app.documents.length, "document")}, ${counted(mentions, "mention")}`;
    if (this.listed !== app.documents.length) this.#list();
  }

  #row(type, count) {
    const { app } = this;
    const box = make("input", { type: "checkbox", autocomplete: "off", onchange: () => app.filter({ type, shown: box.checked }) });
    box.checked = !app.hidden.has(type);
    const label = app.types.paint(make("label", {}, box, make("i", { class: "swatch" }), make("span", {}, visible(app.types.label(type))), make("small", {}, count.toLocaleString("en"))), type);
    const definition = app.types.definition(type);
    return make("li", {}, definition ? make("details", {}, make("summary", { "aria-label": `Definition of ${app.types.label(type)}` }, "?"), make("p", {}, definition)) : null, label);
  }

  #least() {
    this.count.textContent = Number(this.slider.value).toFixed(2);
    this.app.filter({ least: Number(this.slider.value) });
  }

  #list() {
    const { app } = this;
    this.listed = app.documents.length;
    const wanted = this.search.value.toLowerCase();
    const found = app.documents.flatMap((document, n) => (!wanted || document.id.toLowerCase().includes(wanted) || document.text.toLowerCase().includes(wanted) ? [[document, n]] : []));
    const rows = found.slice(0, LISTED).map(([document, n]) => {
      const beginning = document.text.trimStart().slice(0, 60);
      return make("li", {}, make("a", { href: `#document-${n}`, dir: "auto" }, make("b", {}, visible(document.id) || "–"), ` ${visible(beginning)}`));
    });
    const more = found.length > LISTED ? [make("li", { class: "soft" }, `${(found.length - LISTED).toLocaleString("en")} more: narrow the search`)] : [];
    this.list.replaceChildren(...rows, ...more);
  }
}
