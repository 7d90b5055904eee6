// ZIP archives: those of texts that the page writes, stored as they are, and any that it reads.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

const MOST = 2 ** 29; // bytes that an archive may unpack to

/** The archive of files, given as [name, text], as bytes. Names are UTF-8. */
export function zip(files) {
  const encoder = new TextEncoder();
  const [bodies, directory] = [[], []];
  let offset = 0;
  let size = 0;
  for (const [name, text] of files) {
    const [path, data] = [encoder.encode(name), encoder.encode(text)];
    const shared = header([[2, 20], [2, 0x800], [2, 0], [2, 0], [2, 0x21], [4, checksum(data)], [4, data.length], [4, data.length], [2, path.length], [2, 0]]);
    bodies.push(header([[4, 0x04034b50]]), shared, path, data);
    directory.push(header([[4, 0x02014b50], [2, 20]]), shared, header([[2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), path);
    offset += 30 + path.length + data.length;
    size += 46 + path.length;
  }
  const end = header([[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]]);
  return new Blob([...bodies, ...directory, end], { type: "application/zip" });
}

function header(fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [width]) => sum + width, 0)));
  let at = 0;
  for (const [width, value] of fields) {
    if (width === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += width;
  }
  return new Uint8Array(view.buffer);
}

function checksum(data) {
  let value = 0xffffffff;
  for (const byte of data) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/**
 * The files in an archive as { groups: a list for each of its folders, wrong: messages about files that cannot be read };
 * hidden files are left out. Throws an Error with the reason if the archive itself cannot be read.
 */
export async function unzip(archive) {
  const bytes = new Uint8Array(await archive.arrayBuffer());
  const groups = new Map();
  const wrong = [];
  let size = 0;
  for (const entry of directory(bytes, archive.name)) {
    const parts = entry.name.split("/");
    const name = parts.pop();
    if (!name || [...parts, name].some((part) => part.startsWith(".") || part === "__MACOSX")) continue;
    size += entry.size;
    if (size > MOST) throw new Error(`${archive.name}: unpacks to more than 512 MB; unpack it and choose the files`);
    const folder = parts.join("/");
    if (!groups.has(folder)) groups.set(folder, []);
    try {
      groups.get(folder).push(new File([await content(bytes, entry, archive.name)], name));
    } catch (error) {
      wrong.push(error.message);
    }
  }
  return { groups: [...groups.values()], wrong };
}

/** The entries of an archive's directory. */
function directory(bytes, archive) {
  const view = new DataView(bytes.buffer);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  const broken = new Error(`${archive}: is not a complete ZIP archive; get the file again`);
  if (end < 0) throw broken;
  const entries = [];
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left; left -= 1) {
    if (at + 46 > end || view.getUint32(at, true) !== 0x02014b50) throw broken;
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + view.getUint16(at + 28, true)));
    const sizes = { packed: view.getUint32(at + 20, true), size: view.getUint32(at + 24, true) };
    entries.push({ name, ...sizes, sum: view.getUint32(at + 16, true), encrypted: view.getUint16(at + 8, true) & 1, method: view.getUint16(at + 10, true), local: view.getUint32(at + 42, true) });
    at += 46 + view.getUint16(at + 28, true) + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return entries;
}

/** The unpacked bytes of an entry. Throws an Error with the reason if they are not those that were packed. */
async function content(bytes, { name, packed, sum, encrypted, method, local }, archive) {
  const view = new DataView(bytes.buffer);
  const start = local + 30 > bytes.length ? Infinity : local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  if (start + packed > bytes.length) throw new Error(`${archive}: breaks off in ${name}; get the file again`);
  if (encrypted || (method !== 0 && method !== 8)) throw new Error(`${archive}: ${name} is ${encrypted ? "encrypted" : "compressed by a method that the page does not know"}; unpack the archive and choose the files`);
  const data = bytes.subarray(start, start + packed);
  const unpacked = method === 0 ? data : await inflated(data);
  if (!unpacked || checksum(unpacked) !== sum) throw new Error(`${archive}: ${name} is damaged; get the file again`);
  return unpacked;
}

/** The decompressed bytes; null if they are damaged. */
async function inflated(data) {
  try {
    return new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).arrayBuffer());
  } catch {
    return null;
  }
}
