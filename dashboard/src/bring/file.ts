/** A file from somebody's computer: what is seen to be wrong with it before it is sent. */

const NOT_LISTS: [RegExp, string][] = [
  [/^image\//, 'a picture'],
  [/^video\//, 'a video'],
  [/^audio\//, 'a sound'],
  [/^application\/pdf$/, 'a PDF document'],
];
const REMEDY = 'Bring a list of the addresses of pictures: a spreadsheet, CSV, JSON or a feed.';

/** What is wrong with the files that were dropped or chosen; null if it is one that may be a list. */
export function checkFiles(
  files: readonly Pick<File, 'name' | 'type' | 'size'>[],
): { message: string; remedy: string } | null {
  const [file] = files;
  if (!file) return { message: 'There was no file in it.', remedy: REMEDY };
  if (files.length > 1)
    return {
      message: `These are ${files.length} files, and a brand has one list.`,
      remedy: 'Bring one of them, or put their rows into one.',
    };
  const kind = NOT_LISTS.find(([type]) => type.test(file.type))?.[1];
  if (kind) return { message: `${file.name} is ${kind}, not a list.`, remedy: REMEDY };
  if (file.size === 0) return { message: `${file.name} is empty, or a folder.`, remedy: REMEDY };
  return null;
}
