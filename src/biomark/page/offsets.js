// Offsets: biomark's formats count Unicode code points, strings of JavaScript count UTF-16 units.
// This is the only module that converts between them.

const PAIR = /[\ud800-\udbff][\udc00-\udfff]/g;
// Control characters, and those that turn the direction of text around: each is shown as one sign.
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)/gu;

/** The places of a text, counted both ways. */
export class Offsets {
  #pairs; // where the characters of two units begin, in units

  constructor(text) {
    this.text = text;
    this.#pairs = Array.from(text.matchAll(PAIR), (match) => match.index);
    this.points = text.length - this.#pairs.length;
  }

  /** Code points → UTF-16 units. */
  unit(point) {
    return point + countBelow(this.#pairs.length, (n) => this.#pairs[n] - n < point);
  }

  /** UTF-16 units → code points; a unit inside a character counts as that character's beginning. */
  point(unit) {
    return unit - countBelow(this.#pairs.length, (n) => this.#pairs[n] < unit);
  }

  /** The text between two offsets in code points. */
  slice(start, end = this.points) {
    return this.text.slice(this.unit(start), this.unit(end));
  }
}

/** How many of the first numbers below `length` fulfil a condition that holds for the first ones alone. */
function countBelow(length, holds) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The text as the page shows it: a sign in the place of each control character, and no offset moved. */
export function visible(text) {
  return text.replace(CONTROL, (sign) => (sign < " " ? String.fromCharCode(0x2400 + sign.charCodeAt(0)) : "\ufffd"));
}

const segmenters = new Map();

/** The stretches of a text by `granularity` ("word", "grapheme", "sentence") as [start, end] in units. */
export function segments(text, granularity) {
  if (!segmenters.has(granularity)) segmenters.set(granularity, new Intl.Segmenter("en", { granularity }));
  const found = [];
  for (const { segment, index, isWordLike } of segmenters.get(granularity).segment(text)) {
    if (granularity !== "word" || isWordLike) found.push([index, index + segment.length]);
  }
  return found;
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** The place itself, or the beginning of the character that it is inside of. A character may have several code points. */
export function whole(text, unit) {
  return unit > 0 && unit < text.length ? graphemes.segment(text).containing(unit).index : unit;
}

/** The next place before or behind a whole character. */
export function neighbour(text, unit, step) {
  if (step < 0) return unit > 0 ? graphemes.segment(text).containing(unit - 1).index : 0;
  return unit < text.length ? unit + graphemes.segment(text).containing(unit).segment.length : unit;
}
