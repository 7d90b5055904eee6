// The documents of the page, what was done to them, and how to undo it.

const STEPS = 1000; // steps that can be undone

/** Documents that change in steps. `changed(indexes)` is called after each step, undone and redone ones as well. */
export class History {
  #past = [];
  #future = [];

  constructor(documents, changed) {
    this.documents = documents;
    this.changed = changed;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** How many steps can be undone. */
  get steps() {
    return this.#past.length;
  }

  /** One step: a Map of indexes to new documents. Documents that did not change are passed over. */
  change(replacements) {
    const step = [...replacements].filter(([n, document]) => this.documents[n] !== document).map(([n, document]) => [n, this.documents[n], document]);
    if (!step.length) return false;
    this.#past.push(step);
    if (this.#past.length > STEPS) this.#past.shift();
    this.#future = [];
    this.#apply(step, 2);
    return true;
  }

  undo() {
    const step = this.#past.pop();
    if (!step) return;
    this.#future.push(step);
    this.#apply(step, 1);
  }

  redo() {
    const step = this.#future.pop();
    if (!step) return;
    this.#past.push(step);
    this.#apply(step, 2);
  }

  /** Makes one step of those behind the first `steps`. */
  join(steps) {
    const joined = new Map();
    for (const [n, before, after] of this.#past.splice(steps).flat()) joined.set(n, [n, joined.get(n)?.[1] ?? before, after]);
    if (joined.size) this.#past.push([...joined.values()]);
  }

  /** More documents, behind the others. */
  extend(documents) {
    this.documents = [...this.documents, ...documents];
  }

  /** Other documents, without a past. */
  reset(documents) {
    this.documents = documents;
    this.#past = [];
    this.#future = [];
  }

  #apply(step, side) {
    this.documents = this.documents.slice();
    for (const entry of step) this.documents[entry[0]] = entry[side];
    this.changed(step.map(([n]) => n));
  }
}
