// Files that are dropped or chosen, and those of dropped folders and of archives.

import { unzip } from "./zip.js";

/** The files of a drop, a list for those beside each other and one for each folder. Hidden files are left out of folders. */
export function dropped(data) {
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry?.()); // what items hold is gone after the event
  if (!entries.some((entry) => entry?.isDirectory)) return Promise.resolve([Array.from(data.files)]);
  return together(entries.filter(Boolean));
}

async function together(entries) {
  const shown = entries.filter(({ name }) => !name.startsWith(".")).sort((a, b) => (a.name < b.name ? -1 : 1));
  const files = await Promise.all(shown.filter(({ isFile }) => isFile).map((entry) => new Promise((resolve, reject) => entry.file(resolve, reject))));
  const groups = files.length ? [files] : [];
  for (const folder of shown.filter(({ isDirectory }) => isDirectory)) groups.push(...(await together(await inside(folder))));
  return groups;
}

/** What a folder holds; a reader gives it in parts. */
async function inside(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return found;
    found.push(...part);
  }
}

/** Files as { groups: lists of those beside each other, wrong: messages about archives }; those in ZIP archives are unpacked. */
export async function unpacked(files) {
  const isArchive = ({ name }) => /\.zip$/i.test(name);
  const groups = [files.filter((file) => !isArchive(file))];
  const wrong = [];
  for (const archive of files.filter(isArchive)) {
    try {
      const found = await unzip(archive);
      groups.push(...found.groups);
      wrong.push(...found.wrong);
    } catch (error) {
      wrong.push(error.message);
    }
  }
  return { groups, wrong };
}
