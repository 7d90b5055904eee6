// Types of mentions: biomark's names and definitions, and a colour for each type.

/** The types that the page knows. `known` maps biomark's names to { label, definition, aliases }. */
export class Types {
  #aliases = new Map();
  #names = new Map(); // what `canonical` has found
  #places = new Map();
  #known;
  #palette;

  constructor(known, palette) {
    this.#known = known;
    this.#palette = palette;
    for (const [name, { label, aliases }] of Object.entries(known)) {
      this.#places.set(name, this.#places.size);
      for (const alias of [name, label, ...aliases]) this.#aliases.set(keyOf(alias), name);
    }
  }

  /** biomark's name for a type as a file spells it; another name stays as it is. */
  canonical(type) {
    if (!this.#names.has(type)) this.#names.set(type, this.#aliases.get(keyOf(type)) ?? type);
    return this.#names.get(type);
  }

  /** What people call the type. */
  label(type) {
    return this.#known[this.canonical(type)]?.label ?? type.replaceAll("_", " ");
  }

  definition(type) {
    return this.#known[this.canonical(type)]?.definition ?? "";
  }

  /** A pale and a deep colour. */
  colours(type) {
    const key = this.canonical(type).toLowerCase();
    if (!this.#places.has(key)) this.#places.set(key, this.#places.size);
    return this.#palette[this.#places.get(key) % this.#palette.length];
  }

  /** Gives an element the colours of a type, as custom properties that its style uses. */
  paint(element, type) {
    const [pale, deep] = this.colours(type);
    element.style.setProperty("--fill", `light-dark(${pale}, ${deep})`);
    element.style.setProperty("--line", `light-dark(${deep}, ${pale})`);
    return element;
  }
}

function keyOf(name) {
  return name.toLowerCase().replace(/[ _-]/g, "");
}
