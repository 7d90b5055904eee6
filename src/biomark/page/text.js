// A document's text as elements: a paragraph a block, a span a piece, a coloured line under it for each mention. What
// changes is drawn anew by the stretch, so that a paragraph may be as long as it likes.

import { make } from "./dom.js";
import { extentOf, sameSpans } from "./documents.js";
import { blocksOf, byStretch, layered, lanesOf, piecesOf, stretchesOf } from "./layout.js";
import { visible } from "./offsets.js";

const PLAIN = new Set(["", "title", "abstract", "passage"]);
const [STEP, WIDTH] = [5, 3]; // pixels from lane to lane, and of a lane
const LONGEST_LABEL = 60;
const pieces = new WeakMap(); // the piece that a span shows

/** Shows the text of one document, and shows it again when mentions change. */
export class TextView {
  #blocks = null;
  #elements = []; // of the blocks
  #stretches = []; // of all blocks: { start, end, block, depth, spans, signs }; signs are of what is drawn
  #entities = null; // that the lanes are of
  #lanes = new Map();
  #inside = []; // the mentions of each stretch
  #current = null; // the selected mention

  constructor(types) {
    this.types = types;
    this.element = make("div", { class: "text" });
    this.hidden = 0;
  }

  /** Show mentions. `marks` is a Map of mentions to the class of their difference; `target` is what is selected. */
  show(document, entities, { target = null, marks = null } = {}) {
    if (!this.#blocks) this.#build(document);
    if (entities !== this.#entities) this.#lay(entities);
    const deeper = new Set();
    this.#inside.forEach((inside, n) => {
      const stretch = this.#stretches[n];
      const signs = inside.flatMap((e) => [e, this.#lanes.get(e), marks?.get(e)]);
      if (stretch.signs?.length === signs.length && stretch.signs.every((sign, k) => sign === signs[k])) return;
      stretch.signs = signs;
      const depth = Math.max(0, ...inside.map((e) => this.#lanes.get(e) + 1));
      if (depth !== stretch.depth) deeper.add(stretch.block);
      stretch.depth = depth;
      this.#draw(document, stretch, inside, marks);
    });
    if (deeper.size) this.#deepen(deeper);
    this.#point(target?.mention ?? null);
  }

  /** The block element that holds a place. */
  blockAt(unit) {
    const n = this.#blocks.findIndex(({ end }) => unit < end);
    return this.#elements[n < 0 ? this.#elements.length - 1 : n];
  }

  get blocks() {
    return this.#blocks;
  }

  #lay(entities) {
    const shown = layered(entities);
    this.hidden = entities.length - shown.length;
    this.#entities = entities;
    this.#lanes = lanesOf(shown);
    this.#inside = byStretch(this.#stretches, shown);
  }

  /** Puts the spans of a stretch in the place of those that it had. */
  #draw(document, stretch, inside, marks) {
    const before = stretch.spans;
    stretch.spans = piecesOf(stretch, inside).map((piece) => this.#piece(document, piece, marks));
    if (before.length) before[0].before(...stretch.spans);
    else this.#elements[stretch.block].append(...stretch.spans);
    for (const span of before) span.remove();
  }

  /** Marks the selected mention. Its text stays the same nodes, so that what the browser has selected stays selected. */
  #point(mention) {
    for (const span of this.#spansOf(this.#current)) {
      span.classList.remove("current");
      for (const old of span.querySelectorAll(".handle")) old.remove();
    }
    this.#current = mention;
    for (const span of this.#spansOf(mention)) {
      const { start, end } = pieces.get(span);
      span.classList.add("current");
      if (start === mention.spans[0][0]) span.prepend(handle("start"));
      if (end === mention.spans.at(-1)[1]) span.append(handle("end"));
    }
  }

  /** The spans that show a mention. */
  #spansOf(mention) {
    if (!mention) return [];
    const [from, to] = extentOf(mention);
    return this.#stretches.filter(({ start, end }) => start < to && from < end).flatMap(({ spans }) => spans.filter((span) => pieces.get(span).over.includes(mention)));
  }

  /** Gives the lines of blocks room for the mentions that lie over each other. */
  #deepen(blocks) {
    const depths = new Map([...blocks].map((block) => [block, 0]));
    for (const { block, depth } of this.#stretches) if (depths.has(block)) depths.set(block, Math.max(depths.get(block), depth));
    for (const [block, depth] of depths) this.#elements[block].style.setProperty("--depth", depth);
  }

  #build(document) {
    this.#blocks = blocksOf(document);
    this.#elements = this.#blocks.map(({ kind, first, start, end }) => {
      const paragraph = make("p", { dir: "auto", class: kind === "title" ? "title" : null });
      paragraph.style.setProperty("contain-intrinsic-size", `auto ${Math.ceil((end - start) / 80) * 1.9}rem`);
      if (first && !PLAIN.has(kind)) this.element.append(make("h3", {}, visible(kind)));
      this.element.append(paragraph);
      return paragraph;
    });
    this.#stretches = this.#blocks.flatMap((own, block) => stretchesOf(document.text, own).map((stretch) => ({ ...stretch, block, depth: null, spans: [], signs: null })));
  }

  #piece(document, piece, marks) {
    const span = make("span", {}, visible(document.text.slice(piece.start, piece.end)));
    pieces.set(span, piece);
    const lines = [...piece.over.map((e) => [e, false]), ...piece.gaps.map((e) => [e, true])];
    if (!lines.length) return span;
    span.className = piece.over.length ? "piece" : "gap";
    this.#paint(span, piece, lines);
    const ending = piece.over.filter((e) => e.spans.at(-1)[1] === piece.end);
    if (ending.length) {
      const kinds = ending.map((e) => shortened(this.types.label(e.type)) + (marks?.get(e) ? ` (${marks.get(e)})` : ""));
      span.dataset.label = visible(kinds.reverse().join(" · "));
      span.style.setProperty("--own", this.types.paint(make("i"), ending[0].type).style.getPropertyValue("--line"));
    }
    if (piece.over.some((e) => e.spans.some(([start]) => start === piece.start))) span.classList.add("begin");
    if (piece.over.some((e) => e.spans.some(([, end]) => end === piece.end))) span.classList.add("end");
    for (const entity of piece.over) if (marks?.get(entity)) span.classList.add("differs", marks.get(entity));
    return span;
  }

  #paint(span, { over }, lines) {
    const lanes = this.#lanes;
    const deepest = Math.max(...lines.map(([e]) => lanes.get(e)));
    const layers = lines.map(([entity, isGap]) => {
      const [pale, deep] = this.types.colours(entity.type);
      const colour = `light-dark(${deep}, ${pale})`;
      const paint = isGap ? `repeating-linear-gradient(to right, ${colour} 0 3px, transparent 3px 7px)` : `linear-gradient(${colour}, ${colour})`;
      return [paint, (deepest - lanes.get(entity)) * STEP];
    });
    span.style.backgroundImage = layers.map(([paint]) => paint).join(", ");
    span.style.backgroundPosition = layers.map(([, bottom]) => `left bottom ${bottom}px`).join(", ");
    span.style.backgroundSize = `100% ${WIDTH}px`;
    span.style.paddingBottom = `${deepest * STEP + WIDTH}px`;
    if (!over.length) return;
    const [pale, deep] = this.types.colours(over[0].type);
    const share = over[0].score === null ? 100 : Math.round(20 + 80 * over[0].score);
    span.style.backgroundColor = `color-mix(in oklab, light-dark(${pale}, ${deep}) ${share}%, var(--card))`;
  }
}

/** The piece that an element of a text shows, if any. */
export function pieceOf(node) {
  const element = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node;
  return pieces.get(element?.closest?.("span:not(.handle)"));
}

/** The offset, in units, of a place in the page; null if it is in no text. */
export function offsetOf(node, offset) {
  if (node.nodeType === Node.TEXT_NODE) {
    const piece = pieceOf(node);
    return piece ? piece.start + offset : null;
  }
  const piece = pieces.get(node);
  if (piece) return offset === 0 ? piece.start : piece.end;
  const next = node.childNodes[offset];
  if (next && pieces.get(next)) return pieces.get(next).start;
  const last = node.childNodes[Math.min(offset, node.childNodes.length) - 1];
  return last && pieces.get(last) ? pieces.get(last).end : null;
}

/** The text node and the offset in it of a place, in units, of a block. */
export function placeOf(block, unit) {
  const found = Array.from(block.children).find((span) => unit <= pieces.get(span).end) ?? block.lastElementChild;
  const node = Array.from(found.childNodes).find((child) => child.nodeType === Node.TEXT_NODE);
  return [node, Math.max(0, Math.min(unit - pieces.get(found).start, node.length))];
}

/** The mention of a document with these places and this type, after a change. */
export function sameMention(document, mention) {
  return document.entities.find((e) => e === mention) ?? document.entities.find((e) => e.type === mention.type && sameSpans(e.spans, mention.spans));
}

function handle(edge) {
  return make("span", { class: "handle", "data-edge": edge, "aria-hidden": "true" });
}

function shortened(label) {
  return label.length > LONGEST_LABEL ? `${label.slice(0, LONGEST_LABEL - 1)}…` : label;
}
