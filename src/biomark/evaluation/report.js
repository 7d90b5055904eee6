"use strict";
// Pages of evaluations and comparisons: the list of sentences with their errors, searched and filtered.
const { systems, excerpts } = JSON.parse(document.getElementById("data").textContent);
const errors = excerpts.flatMap(excerpt => excerpt.errors.map(error => Object.assign(error, { excerpt })));
const form = document.getElementById("filters"), list = document.getElementById("errors");
const more = document.getElementById("more"), count = document.getElementById("count");
const step = 50;
let shown = [], next = 0;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function sides(error) { return [error.gold, error.predicted].filter(Boolean); }
function types(error) { return sides(error).map(mention => mention.type); }
function text(error) {
  if (!error.words) error.words = [error.excerpt.document, error.excerpt.text, ...sides(error).map(m => m.mention)].join("\n").toLowerCase();
  return error.words;
}
function spaced(words) { return words.replace(/\s+/g, " ").trim(); }
function matches(error, wanted) {
  if (!wanted.startsWith("=")) return text(error).includes(wanted);
  return sides(error).some(m => spaced(m.mention.toLowerCase()) === spaced(wanted.slice(1)));
}
function madeBy(error, wanted) {
  if (wanted === "differ") return error.systems.length < systems.length;
  return !wanted || (error.systems.length === 1 && error.systems[0] === Number(wanted));
}
// Offsets count code points, unlike those of JavaScript's strings.
function sentence(excerpt, errors) {
  const made = element("p", "sentence"), characters = Array.from(excerpt.text), bits = new Uint8Array(characters.length);
  for (const error of errors) for (const [side, bit] of [["gold", 1], ["predicted", 2]])
    for (const [start, end] of error[side] ? error[side].at : []) for (let i = start; i < end; i++) bits[i] |= bit;
  if (excerpt.cut[0]) made.append("… ");
  for (let start = 0, end; start < characters.length; start = end) {
    for (end = start + 1; end < characters.length && bits[end] === bits[start];) end++;
    const piece = characters.slice(start, end).join("");
    made.append(bits[start] ? element("mark", (bits[start] & 1 ? "g " : "") + (bits[start] & 2 ? "p" : ""), piece) : piece);
  }
  if (excerpt.cut[1]) made.append(" …");
  return made;
}
function description(error) {
  const made = element("p", "meta"), told = [];
  made.append(element("span", "badge " + error.kind, error.kind));
  for (const side of ["gold", "predicted"]) if (error[side])
    told.push(side + ": “" + error[side].mention + "” " + error[side].type + " at " + error[side].offsets);
  if (error.abbreviation) told.push("abbreviation");
  if (error.seen !== null) told.push(error.seen ? "seen in training" : "not seen in training");
  made.append(told.join(" · "));
  return made;
}
function row([excerpt, errors]) {
  const item = element("li"), head = element("p", "meta", excerpt.document);
  item.append(head);
  if (!systems.length) item.append(sentence(excerpt, errors), ...errors.map(description));
  else {
    const columns = element("div", "systems");
    systems.forEach((name, number) => {
      const own = errors.filter(error => error.systems.includes(number)), column = element("div");
      column.append(element("h3", "", name), sentence(excerpt, own));
      column.append(...(own.length ? own.map(description) : [element("p", "meta", "without these errors")]));
      columns.append(column);
    });
    item.append(columns);
  }
  return item;
}
function showMore() {
  const rows = document.createDocumentFragment();
  for (const one of shown.slice(next, next + step)) rows.append(row(one));
  list.append(rows);
  next = Math.min(next + step, shown.length);
  more.hidden = next >= shown.length;
  more.textContent = "Show more (" + (shown.length - next).toLocaleString("en") + " left)";
}
function filter() {
  const kinds = new Set(Array.from(form.querySelectorAll("#kinds input:checked"), box => box.value));
  const wanted = form.search.value.trim().toLowerCase(), type = form.type.value;
  const is = (name, error) => form[name].value === "" || String(error[name]) === form[name].value;
  const found = errors.filter(error => kinds.has(error.kind) && (!type || types(error).includes(type)) &&
    (!systems.length || madeBy(error, form.system.value)) &&
    is("abbreviation", error) && is("seen", error) && (!wanted || matches(error, wanted)));
  const rows = new Map();
  for (const error of found) rows.set(error.excerpt, [...(rows.get(error.excerpt) || []), error]);
  shown = Array.from(rows);
  count.textContent = found.length.toLocaleString("en") + " of " + errors.length.toLocaleString("en") +
    (errors.length === 1 ? " error in " : " errors in ") + shown.length.toLocaleString("en") + (shown.length === 1 ? " sentence" : " sentences");
  list.replaceChildren();
  next = 0;
  showMore();
}
for (const kind of ["missing", "wrong", "boundary", "type"]) {
  const box = element("input"), name = element("label");
  box.type = "checkbox"; box.value = kind; box.checked = true;
  name.append(box, " " + kind);
  document.getElementById("kinds").append(name);
}
const known = Array.from(new Set(errors.flatMap(types))).sort();
for (const type of known) form.type.append(element("option", "", type));
document.getElementById("types").hidden = known.length < 2;
document.getElementById("seen").hidden = errors.every(error => error.seen === null);
systems.forEach((name, number) => {
  const option = element("option", "", "only " + name + " makes");
  option.value = number;
  form.system.append(option);
});
let waiting;
form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
form.addEventListener("submit", event => event.preventDefault());
more.addEventListener("click", showMore);
document.addEventListener("click", event => {
  const wanted = event.target.dataset && event.target.dataset.search;
  if (wanted === undefined) return;
  form.search.value = "=" + wanted;
  filter();
  document.getElementById("list").scrollIntoView();
  form.search.focus({ preventScroll: true });
});
// A phone shows no scroll bar: words and a shadow tell that a table goes on.
function hint() {
  for (const box of document.querySelectorAll(".scroll")) box.previousElementSibling.hidden = box.scrollWidth <= box.clientWidth;
}
window.addEventListener("resize", hint);
hint();
form.hidden = false;
filter();
