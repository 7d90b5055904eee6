// Identifiers as files join them in one field, and documents' ids as names of files; as biomark.formats.identifiers.

const VARIANT = /^(?:(?:tmVar:)?[A-Za-z]\|[A-Za-z]+\||tmVar:|rs\d+;[A-Za-z]+:|(?:[^|]*;)?(?:RS#|HGVS|VariantGroup|CorrespondingGene):)/;
const FORM = /^(?:(?:tmVar:)?([A-Za-z]\|[A-Za-z]+\|.*)|tmVar:(.+))$/s;
const DBSNP = /^(?:RS#:(?:rs)?|rs)(\d+)$/;
const NONE = new Set(["", "-", "-1", "null", "None"]);

/** The identifiers of a field such as `D001|D002`. */
export function splitIds(field) {
  if (VARIANT.test(field)) {
    const variant = variantId(field);
    return variant ? [variant] : [];
  }
  return field.split(/[|,;]/).map((id) => id.trim()).filter((id) => !NONE.has(id));
}

function variantId(field) {
  const fields = field.split(";").map((part) => part.trim());
  for (const part of fields) if (DBSNP.test(part)) return `rs${DBSNP.exec(part)[1]}`;
  for (const part of fields) if (FORM.test(part)) return FORM.exec(part)[1] || FORM.exec(part)[2];
  return fields.find((part) => part.startsWith("HGVS:")) ?? "";
}

/** A document's id as the name of a file: what no file system takes is written `%XX`. */
export function fileName(id) {
  const safe = Array.from(id, (c) => (/[/\\:*?"<>|%]|[^\P{Z} ]|\p{C}/u.test(c) ? escaped(c) : c)).join("");
  return safe.startsWith(".") ? `%2E${safe.slice(1)}` : safe || "%";
}

/** The id of a document whose file has this name, without its ending; the inverse of `fileName`. */
export function fileStem(name) {
  try {
    const id = name === "%" ? "" : decodeURIComponent(name);
    return fileName(id) === name ? id : name;
  } catch {
    return name;
  }
}

function escaped(character) {
  const bytes = new TextEncoder().encode(character);
  return Array.from(bytes, (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}
