// JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it, so that a file from the page equals biomark's own.

const REALS = new Set(["score"]); // fields that are real numbers, even where they are whole

/** A value as JSON text, with Python's blanks and numbers. */
export function pythonJson(value, key = "") {
  if (Array.isArray(value)) return `[${value.map((item) => pythonJson(item)).join(", ")}]`;
  if (value && typeof value === "object")
    return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${pythonJson(item, name)}`).join(", ")}}`;
  return typeof value === "number" && REALS.has(key) ? pythonNumber(value) : JSON.stringify(value);
}

/** A real number from 0 to 1 as Python shows it: `1.0`, `0.25`, `1e-05`. */
export function pythonNumber(number) {
  if (number !== 0 && Math.abs(number) < 1e-4)
    return number.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return Number.isInteger(number) ? `${number}.0` : String(number);
}
