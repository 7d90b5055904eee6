// The page's beginning: makes its parts and joins them.

import { App, held } from "./app.js";
import { add, AddForm, compare, exported, help, takeAway, tellOf } from "./dialogs.js";
import { make } from "./dom.js";
import { dropped } from "./dropped.js";
import { Hands } from "./hands.js";
import { Inspector } from "./inspector.js";
import { DocumentList } from "./list.js";
import { Panel } from "./panel.js";
import { Service } from "./service.js";

const part = (id) => document.getElementById(id);

async function begin() {
  const [settings, documents] = held();
  const app = new App(settings, documents, new Service(settings.api));
  const list = new DocumentList(app, part("documents-shown"));
  list.reset();
  new Panel(app, part("panel-content"));
  new Inspector(app, part("inspector"));
  new Hands(app, list, part("documents-shown"));
  const start = new AddForm(app);
  part("start").append(make("h2", {}, app.service.present ? "Find mentions in biomedical text" : "No documents yet"), start.element);
  listen(app);
  commands(app, start);
  fold();
  await app.restore();
  document.documentElement.dataset.ready = "true";
  return { app, exported: (format, choice) => exported(app, format, choice) };
}

/** What is said and shown of the app's state outside of the panels. */
function listen(app) {
  const show = () => {
    document.body.classList.toggle("blank", !app.documents.length);
    document.body.classList.toggle("comparing", app.reference !== null);
    part("undo").disabled = !app.history.canUndo;
    part("redo").disabled = !app.history.canRedo;
    for (const id of ["compare", "take"]) part(id).disabled = !app.documents.length;
  };
  for (const name of ["documents", "change", "target"]) app.addEventListener(name, show);
  app.addEventListener("target", () => document.body.classList.toggle("selecting", app.target !== null));
  app.addEventListener("announce", ({ detail }) => (part("said").textContent = detail));
  app.addEventListener("saving", () => (part("saved").textContent = "Saving …"));
  app.addEventListener("saved", ({ detail }) => {
    part("saved").textContent = detail ? "Saved in this browser" : "Not saved: take your work away before you close the page";
  });
  show();
}

function commands(app, start) {
  const acts = { add: () => add(app, start), compare: () => compare(app), take: () => takeAway(app), undo: () => app.undo(), redo: () => app.redo(), help };
  for (const [id, act] of Object.entries(acts)) part(id).addEventListener("click", act);
  part("labels").addEventListener("change", ({ target }) => document.body.classList.toggle("unlabelled", !target.checked));
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select") && event.target.type !== "checkbox" && event.target.type !== "range") return;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "z") {
      event.preventDefault();
      if (event.shiftKey) app.redo();
      else app.undo();
    } else if (event.key === "Escape" && part("inspector").contains(event.target)) {
      document.querySelector('.editable[tabindex="0"]')?.focus({ preventScroll: true });
    }
  });
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files.length) receive(app, start, dropped(event.dataTransfer));
  });
}

/** On narrow windows the panel of types and documents is folded until somebody opens it. */
function fold() {
  const wide = matchMedia("(min-width: 68.01rem)");
  const set = () => (document.querySelector(".panel > details").open = wide.matches);
  wide.addEventListener("change", set);
  set();
}

/** Files that were dropped; on a page with documents the form that shows what goes wrong is hidden. */
async function receive(app, start, groups) {
  const messages = [];
  for (const files of await groups) messages.push(...(await start.files(files)));
  if (messages.length && app.documents.length) tellOf(messages);
}

// For scripts, and for people at the console: the app, and what it gives away.
globalThis.biomark = begin();
