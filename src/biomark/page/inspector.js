// What is selected, and what can be done with it.

import { correctionOf } from "./corrections.js";
import { inPoints, wordsOf } from "./documents.js";
import { button, counted, make } from "./dom.js";
import { neighbour, visible } from "./offsets.js";

const LONGEST = 200;

/** Shows the app's target in an element. */
export class Inspector {
  constructor(app, element) {
    this.app = app;
    this.element = element;
    for (const name of ["target", "change", "documents"]) app.addEventListener(name, () => this.show());
    this.show();
  }

  show() {
    const focus = this.element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const { target } = this.app;
    this.element.classList.toggle("empty", !target);
    this.element.replaceChildren(...(target ? this.#target(target) : this.#nothing()));
    if (focus) (this.element.querySelector(`[data-key="${CSS.escape(focus)}"]`) ?? this.element.querySelector("button"))?.focus();
  }

  #nothing() {
    return [
      make("h2", {}, "Nothing selected"),
      make("p", {}, "Select words to mark them. Click a mention to correct it."),
      make("p", { class: "soft" }, "With the keyboard: ", make("kbd", {}, "n"), " goes to the next mention, ", make("kbd", {}, "→"), " to the next word, ", make("kbd", {}, "f"), " and the first letters to any word, a digit gives the type."),
    ];
  }

  #target(target) {
    const { app } = this;
    const { index, spans, mention } = target;
    const document = app.documents[index];
    const words = wordsOf(document, spans);
    const offsets = inPoints(document, spans).map(([start, end]) => `${start}–${end}`).join(", ");
    return [
      make("header", {},
        make("div", {}, make("h2", { dir: "auto" }, visible(words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words)), make("p", { class: "soft" }, `Characters ${offsets}`)),
        make("div", { class: "row" },
          mention ? button("Drop", () => app.drop(), { class: "danger", "data-key": "drop", "aria-keyshortcuts": "Delete" }) : null,
          button("×", () => app.select(null), { class: "icon", "aria-label": "Close", "data-key": "close" }))),
      mention ? this.#facts(document, mention) : null,
      this.#typeButtons(mention),
      this.#edges(mention),
      this.#equal(mention),
      mention ? make("div", { class: "row" }, button("Add a part", () => { app.addPart(); }, { "data-key": "part" })) : null,
      this.#others(index, spans, mention),
    ].filter(Boolean);
  }

  /** Score, identifiers, definition, and what a person has done. */
  #facts(document, mention) {
    const { app } = this;
    const rows = [];
    const definition = app.types.definition(mention.type);
    if (definition) rows.push(["Definition", definition]);
    if (mention.score !== null) {
      const meter = make("span", { class: "meter", "aria-hidden": "true" });
      meter.style.setProperty("--share", `${100 * mention.score}%`);
      rows.push(["Score", make("span", {}, mention.score.toFixed(3), meter)]);
    }
    if (mention.ids.length) rows.push(["Identifiers", make("span", { class: "ids" }, ...mention.ids.map((id) => make("code", {}, visible(id))))]);
    const correction = correctionOf(mention);
    if (correction) {
      rows.push(["Person", `${correction.how} by ${visible(correction.who)}, ${correction.when.replace("T", " ").replace("Z", " UTC")}`]);
      const { before } = correction;
      if (before) rows.push(["Before", visible(`${before.text}: ${app.types.label(before.type)}${before.score === undefined ? "" : `, ${before.score.toFixed(3)}`}${before.ids ? `, ${before.ids.join(" ")}` : ""}`)]);
    }
    for (const [key, value] of Object.entries(mention.infons)) {
      if (!["correction", "corrected by", "corrected at", "before"].includes(key)) rows.push([visible(key), visible(value)]);
    }
    return rows.length ? make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { dir: "auto" }, value)])) : null;
  }

  #typeButtons(mention) {
    const { app } = this;
    const own = mention ? app.types.canonical(mention.type) : null;
    const buttons = app.typeNames.map((type, n) => {
      const label = [make("i", { class: "swatch" }), visible(app.types.label(type)), n < 9 ? make("kbd", { "aria-hidden": "true" }, String(n + 1)) : null];
      const properties = { type: "button", class: "chip", "aria-pressed": String(type === own), title: app.types.definition(type), "data-key": `type ${type}`, onclick: () => app.mark(type) };
      return app.types.paint(make("button", properties, ...label), type);
    });
    const input = make("input", { "aria-label": "A type of your own", placeholder: "A type of your own", maxlength: "80", autocomplete: "off", "data-key": "own" });
    const form = make("form", { class: "row", onsubmit: (event) => { event.preventDefault(); app.mark(input.value.trim()); } }, input, make("button", { type: "submit", "data-key": "own-go" }, "Set"));
    return make("fieldset", {}, make("legend", {}, mention ? "Type" : "Mark as"), make("div", { class: "chips" }, ...buttons), form);
  }

  #edges(mention) {
    const { app } = this;
    const move = (edge, step) => () => {
      const { spans, index } = app.target;
      const { text } = app.documents[index];
      app.resize(edge, neighbour(text, edge === "start" ? spans[0][0] : spans.at(-1)[1], step));
    };
    const pair = (edge) => make("div", { class: "edge", role: "group", "aria-label": edge === "start" ? "Beginning" : "End" },
      button("←", move(edge, -1), { "aria-label": `${edge === "start" ? "Beginning" : "End"} one character to the left`, "data-key": `${edge}-` }),
      make("span", {}, edge === "start" ? "Beginning" : "End"),
      button("→", move(edge, 1), { "aria-label": `${edge === "start" ? "Beginning" : "End"} one character to the right`, "data-key": `${edge}+` }));
    return make("div", { class: `edges${mention ? "" : " loose"}` }, pair("start"), pair("end"));
  }

  #equal(mention) {
    const { app } = this;
    const others = app.equal().length;
    const box = make("input", { type: "checkbox", "data-key": "equal", onchange: (event) => app.setEverywhere(event.target.checked) });
    box.checked = app.everywhere;
    const what = mention ? counted(others, "equal mention") : counted(others, "place") + " with these words";
    return make("label", { class: "check" }, box, make("span", {}, `Apply to all equal: ${what}`));
  }

  #others(index, spans, mention) {
    const { app } = this;
    const others = app.shown(app.documents[index]).filter((e) => e !== mention && e.spans.some(([a, b]) => spans.some(([c, d]) => a < d && c < b)));
    if (!others.length) return null;
    const buttons = others.slice(0, 20).map((e) => {
      const words = wordsOf(app.documents[index], e.spans);
      const label = [make("i", { class: "swatch" }), `${visible(words.slice(0, 60))} `, make("small", {}, visible(app.types.label(e.type)))];
      return app.types.paint(make("button", { type: "button", class: "chip", onclick: () => app.select({ index, spans: e.spans, mention: e }) }, ...label), e.type);
    });
    return make("div", {}, make("h3", {}, "Also here"), make("div", { class: "chips" }, ...buttons));
  }
}
