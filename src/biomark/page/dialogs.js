// Dialogs: texts in, files out, comparison, help.

import { biocJson } from "./bioc.js";
import { brat, paired, readBrat } from "./brat.js";
import { jsonOf } from "./documents.js";
import { button, counted, make } from "./dom.js";
import { unpacked } from "./dropped.js";
import { csv, demonstrations, jsonLines, pubtator } from "./standoff.js";
import { visible } from "./offsets.js";
import { readFile } from "./readers.js";
import { zip } from "./zip.js";

const EXAMPLES = {
  "An abstract": "Naloxone and the pressor response\nRats that had been given clonidine became hypotensive after naloxone. The BRCA1 variant c.68_69delAG was not seen in HeLa cells; Escherichia coli served as control.",
  "A clinical note": "HPI: 71 yo man with COPD and breast and lung cancer in his family, here for shortness of breath.\nMeds: metoprolol 25 mg, aspirin.\nPlan: chest X-ray, start prednisone 40 mg.",
};
const FORMATS = {
  jsonl: ["JSON Lines", "all that biomark knows; to train on", (documents) => new Blob([jsonLines(documents)])],
  bioc_json: ["BioC JSON", "passages, scores and corrections", (documents) => new Blob([biocJson(documents)])],
  pubtator: ["PubTator", "titles and abstracts, a mention a line", (documents) => new Blob([pubtator(documents)])],
  brat: ["brat", "a folder of texts and annotations, as ZIP; to train on", (documents) => zip(brat(documents))],
  csv: ["Table (CSV)", "a row a mention, for a spreadsheet", (documents) => new Blob([csv(documents)])],
  demonstrations: ["Demonstrations", "sentences with instructions, for language models", (documents, types, label) => new Blob([demonstrations(documents, types, label)])],
};
const ENDINGS = { jsonl: ".jsonl", bioc_json: ".bioc.json", pubtator: ".pubtator", brat: ".zip", csv: ".csv", demonstrations: ".demos.json" };
// Of other files the service looks at the first lines.
const SUFFIXES = [[/\.txt$/i, "text"], [/\.(jsonl|ndjson)$/i, "jsonl"], [/\.pubtator$/i, "pubtator"], [/\.nxml$/i, "jats_xml"], [/\.(conll|bio|iob2?)$/i, "conll"]];
const SHOWN = 20; // messages about files
const TOGETHER = 20; // documents that are shown at once while files are read
const KEYS = [
  ["n, p", "next, previous mention"], ["→, ←", "next, previous word"], ["f, then letters", "next word that begins with them"], ["Shift →, ←", "move the end by a word"], ["Alt →, ←", "move the beginning by a word"],
  ["with Ctrl", "by a character"], ["1 to 9", "give the type with this number"], ["Delete", "drop the mention"], ["with Shift", "the same for all equal mentions"], ["a", "apply to all equal mentions from now on, or not"],
  ["o", "other mention at the same place"], ["u, r", "undo, redo (Ctrl Z, Ctrl Shift Z as well)"], ["j, k", "next, previous document"], ["Enter", "go to the details"], ["Esc", "select nothing, or back to the text"],
];

/** Returns [readings, messages]: for each file or pair, also of those in archives, its name and a function that gets its
 *  documents; and a message for each archive or file that cannot be read. `other` reads a file that is not part of a pair. */
async function readings(files, other) {
  const { groups, wrong } = await unpacked([...files]);
  const reading = [];
  for (const { pairs, lonely, others } of groups.map(paired)) {
    reading.push(...pairs.map(([text, annotations]) => [annotations.name, async () => readBrat(text.name, await text.text(), await annotations.text())]));
    reading.push(...others.map((file) => [file.name, () => other(file)]));
    wrong.push(...lonely.map(({ name }) => `${name}: its text, ${name.replace(/ann$/i, "txt")}, is missing; choose or drop both files together`));
  }
  return [reading, wrong];
}

/** The documents of a file as the service answers a request with its content; that of a plain text is named after its file. */
async function answered(file, ask) {
  const format = SUFFIXES.find(([suffix]) => suffix.test(file.name))?.[1];
  const answer = await ask({ content: await file.text(), ...(format ? { format } : {}) });
  const single = format === "text" && answer.documents.length === 1;
  return single ? { ...answer, documents: [{ ...answer.documents[0], id: file.name.replace(/\.\w+$/, "") }] } : answer;
}

/** The documents of a file with the mentions that it holds, and what cannot be read. */
async function withItsMentions(service, file) {
  if (service.present) return answered(file, (content) => service.convert({ ...content, sentences: true }));
  return { documents: readFile(file.name, await file.text()), rejects: [] };
}

/** What went wrong with files that were dropped on the page. */
export function tellOf(messages) {
  openDialog("Not all could be read", make("p", { class: "message", role: "alert" }, visible(messages.join("\n"))));
}

/** A dialog with a heading; it opens at once and is gone when it is closed. */
export function openDialog(title, ...content) {
  const dialog = make("dialog", { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() },
    make("header", {}, make("h2", { id: "dialog-title" }, title), button("×", () => dialog.close(), { class: "icon", "aria-label": "Close" })), ...content);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function help() {
  openDialog("Keys", make("p", {}, "They work while a document's text has the focus (Tab goes there)."),
    make("dl", { class: "keys" }, ...KEYS.flatMap(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)])));
}

/** The form that takes texts and files in. `done` is called when documents have come, with whether something went wrong. */
export class AddForm {
  #models = [];

  done = () => {};

  constructor(app) {
    this.app = app;
    const { present } = app.service;
    this.text = make("textarea", { rows: "7", dir: "auto", placeholder: present ? "Paste a text" : "Paste a text to mark by hand" });
    this.file = make("input", { type: "file", multiple: true, class: "hidden", tabindex: "-1", "aria-label": "Files", onchange: () => this.files(this.file.files) });
    this.message = make("p", { role: "status", class: "message" });
    this.model = make("select", { onchange: () => this.#types() });
    this.types = make("fieldset", { class: "wanted", hidden: true });
    this.own = make("input", { placeholder: "such as frailty, medical device", autocomplete: "off" });
    this.ownRow = make("label", { hidden: true }, "Types, in your own words", this.own);
    this.identifiers = make("input", { type: "checkbox", autocomplete: "off", defaultChecked: true });
    this.identifiersRow = make("label", { class: "check", hidden: true }, this.identifiers, "Give mentions identifiers, such as those of MeSH");
    this.token = make("input", { type: "password", autocomplete: "off", oninput: () => (app.service.token = this.token.value), onchange: () => this.#load() });
    this.tokenRow = make("label", { hidden: true }, "Token of the service", this.token);
    this.keep = make("input", { type: "checkbox", autocomplete: "off" });
    this.go = make("button", { type: "submit", class: "main" }, present ? "Find mentions" : "Add");
    const examples = Object.entries(EXAMPLES).map(([name, text]) => button(name, () => { this.text.value = text; this.text.focus(); }, { class: "link" }));
    this.element = make("form", { class: "add", onsubmit: (event) => { event.preventDefault(); this.#paste(); } },
      make("label", {}, "Text", this.text),
      make("p", { class: "soft" }, "Examples: ", ...examples.flatMap((one, n) => (n ? [", ", one] : [one]))),
      present ? make("div", { class: "fields" }, make("label", {}, "Model", this.model), this.ownRow, this.tokenRow) : null,
      this.types,
      this.identifiersRow,
      make("div", { class: "row" }, this.go, button("Choose files", () => this.file.click()), this.file, make("span", { class: "soft" }, "or drop them anywhere on the page")),
      present ? make("label", { class: "check" }, this.keep, "Keep the mentions that files hold, and look for no others. Those of brat (.ann) are always kept.") : null,
      this.message);
    if (present) this.#load();
  }

  /** Files, also those in ZIP archives: of any format for a page with a service, else of those that the page reads.
   *  Returns what went wrong. */
  async files(files) {
    const { service } = this.app;
    const [reading, wrong] = await readings(files, (file) => (service.present && !this.keep.checked ? answered(file, (content) => service.annotate(this.#request(content))) : withItsMentions(service, file)));
    this.file.value = "";
    return this.#take(reading, wrong);
  }

  async #paste() {
    const text = this.text.value;
    if (!text.trim()) return void this.#say("There is no text yet. Paste one, or pick an example.");
    const document = { id: `text ${this.app.documents.length + 1}`, text };
    const here = () => ({ documents: readFile("pasted.jsonl", JSON.stringify(document)), rejects: [] });
    const there = () => this.app.service.annotate(this.#request({ documents: [{ ...document, entities: [] }] }));
    const before = this.app.documents.length;
    await this.#take([["text", this.app.service.present ? there : here]]);
    if (this.app.documents.length > before) this.text.value = "";
  }

  /** Takes documents in, given as [name, function that gets them], and says what went wrong. One does not stop the rest. */
  async #take(reading, messages = []) {
    const start = this.app.documents.length;
    const waiting = [];
    this.go.disabled = true;
    for (const [n, [name, get]] of reading.entries()) {
      this.#say(`${name}: working …${reading.length > 1 ? ` (${n + 1} of ${reading.length})` : ""}`);
      try {
        const { documents, rejects } = await get();
        waiting.push(...documents);
        for (const { document, reason, line } of rejects) messages.push(`${document ?? name}${line ? `, line ${line}` : ""}: ${reason}`);
      } catch (error) {
        if (error.status === 401) this.tokenRow.hidden = false;
        messages.push(`${name}: ${error.message}`);
      }
      if (waiting.length >= TOGETHER) await this.app.put(waiting.splice(0));
    }
    if (waiting.length) await this.app.put(waiting);
    this.go.disabled = false;
    this.#say([...messages.slice(0, SHOWN), ...(messages.length > SHOWN ? [`and ${counted(messages.length - SHOWN, "more message")}`] : [])].join("\n"));
    if (this.app.documents.length > start) this.done(messages.length > 0);
    return messages;
  }

  #request(content) {
    const identifiers = this.identifiers.checked && !this.identifiersRow.hidden;
    return { ...content, sentences: true, ...(this.model.value ? { model: this.model.value } : {}), ...this.#wanted(), ...(identifiers ? { identifiers } : {}) };
  }

  /** The types to look for; nothing if they are those that the model looks for anyway. */
  #wanted() {
    const boxes = [...this.types.querySelectorAll("input")];
    const own = this.own.value.split(",").map((type) => type.trim()).filter(Boolean);
    const types = this.ownRow.hidden ? boxes.filter(({ checked }) => checked).map(({ value }) => value) : own;
    if (boxes.length && !types.length) throw new Error("No type is chosen; choose at least one.");
    return types.length && !(boxes.length && boxes.every((box) => box.checked === box.defaultChecked)) ? { types } : {};
  }

  async #load() {
    try {
      this.#models = await this.app.service.models();
      this.#say("");
      this.model.replaceChildren(...this.#models.map(({ name }) => make("option", { value: name }, name)));
      this.#types();
    } catch (error) {
      if (error.status === 401) this.tokenRow.hidden = false;
      this.#say(error.message);
    }
  }

  #types() {
    const model = this.#models.find(({ name }) => name === this.model.value);
    this.ownRow.hidden = model?.types !== null;
    this.identifiersRow.hidden = !model?.identifiers;
    const { types } = this.app;
    this.types.hidden = !model?.types;
    this.types.replaceChildren(
      make("legend", {}, "Types to look for"),
      ...(model?.types ?? []).map((type) => types.paint(make("label", { class: "check" }, make("input", { type: "checkbox", value: type, autocomplete: "off", defaultChecked: (model.default_types ?? model.types).includes(type) }), make("i", { class: "swatch" }), visible(types.label(type))), type)),
    );
  }

  #say(text) {
    this.message.textContent = visible(text);
  }
}

/** Shows the form in a dialog. There is one form, so that files that are dropped are read as it was set. */
export function add(app, form) {
  const home = form.element.parentElement;
  const dialog = openDialog("Add texts", form.element);
  form.done = (stays) => stays || dialog.close();
  dialog.addEventListener("close", () => {
    form.done = () => {};
    home.append(form.element);
  });
  if (app.documents.length) {
    const what = app.service.present ? "Remove all documents and corrections from this browser" : "Discard all corrections";
    dialog.append(make("p", { class: "apart" }, button(what, () => { if (confirm(`${what}? This cannot be undone.`)) { app.discard(); dialog.close(); } }, { class: "link danger" })));
  }
}

/** What the page gives away, as a Blob and a name. */
export function exported(app, format, { all = true, asShown = false } = {}) {
  const index = app.target?.index ?? 0;
  const chosen = all ? app.documents : app.documents.slice(index, index + 1);
  const documents = chosen.map((document) => jsonOf(asShown ? { ...document, entities: app.shown(document) } : document));
  const sentences = chosen.map((document) => document.split.map(([a, b]) => [document.offsets.point(a), document.offsets.point(b)]));
  const named = documents.map((document, n) => ({ ...document, split: sentences[n], entities: document.entities.map((e) => ({ ...e, type: app.types.canonical(e.type) })) }));
  const types = app.typeNames.filter((type) => named.some(({ entities }) => entities.some((e) => e.type === type)));
  const blob = FORMATS[format][2](format === "demonstrations" ? named : documents, types, (type) => app.types.label(type));
  return [blob, `biomark${ENDINGS[format]}`];
}

export function takeAway(app) {
  const rows = Object.entries(FORMATS).map(([name, [label, what]], n) =>
    make("label", { class: "option" }, make("input", { type: "radio", name: "format", value: name, defaultChecked: n === 0 }), make("span", {}, make("b", {}, label), make("small", {}, what))));
  const all = app.documents.reduce((sum, document) => sum + document.entities.length, 0);
  const shown = app.documents.reduce((sum, document) => sum + app.shown(document).length, 0);
  const asShown = make("input", { type: "checkbox", name: "shown" });
  const one = make("input", { type: "checkbox", name: "one" });
  const form = make("form", { onsubmit: (event) => { event.preventDefault(); save(); } },
    make("fieldset", { class: "options" }, make("legend", {}, "Format"), ...rows),
    shown < all ? make("label", { class: "check" }, asShown, `Only the mentions that types and score show now: ${shown.toLocaleString("en")} of ${counted(all, "mention")}`) : null,
    app.documents.length > 1 ? make("label", { class: "check" }, one, "Only the document that is selected") : null,
    make("div", { class: "row" }, make("button", { type: "submit", class: "main" }, "Save file")));
  const dialog = openDialog("Take away", form);
  const save = () => {
    const [blob, name] = exported(app, new FormData(form).get("format"), { all: !one.checked, asShown: asShown.checked });
    const address = URL.createObjectURL(blob);
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    dialog.close();
  };
}

export function compare(app) {
  const message = make("p", { role: "status", class: "message" });
  const use = async (name, get) => {
    message.textContent = "Working …";
    try {
      app.compareWith({ name, documents: new Map((await get()).map((document) => [document.id, document])) });
      dialog.close();
    } catch (error) {
      message.textContent = visible(error.message);
    }
  };
  const file = make("input", { type: "file", multiple: true, class: "hidden", tabindex: "-1", "aria-label": "Files to compare with", onchange: async () => {
    const [reading, [wrong]] = await readings(file.files, (one) => withItsMentions(app.service, one));
    const get = async () => {
      if (wrong) throw new Error(wrong);
      return (await Promise.all(reading.map(([, get]) => get()))).flatMap(({ documents }) => documents);
    };
    use(reading.length > 1 ? counted(reading.length, "file") : (reading[0]?.[0] ?? ""), get);
    file.value = "";
  } });
  const buttons = [
    button("The mentions before your corrections", () => use("Before corrections", () => app.uncorrected)),
    button("Files: gold, or what another model found", () => file.click()),
    app.reference ? button("End the comparison", () => { app.compareWith(null); dialog.close(); }, { class: "danger" }) : null,
  ].filter(Boolean);
  const list = make("div", { class: "stack" }, ...buttons, file);
  const dialog = openDialog("Compare with", make("p", { class: "soft" }, "A document of a file is compared with the one here that has the same id and text."), list, message);
  if (app.service.present) otherModels(app, list, use, message);
}

async function otherModels(app, list, use, message) {
  try {
    for (const { name } of await app.service.models())
      list.append(button(`Model ${name}`, () => use(name, async () => {
        const documents = app.documents.map((document) => ({ ...jsonOf(document), entities: [] }));
        return (await app.service.annotate({ documents, model: name })).documents;
      })));
  } catch (error) {
    message.textContent = visible(error.message);
  }
}
