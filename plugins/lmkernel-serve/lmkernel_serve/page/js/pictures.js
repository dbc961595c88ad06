// Pictures that are asked about: read from files, sent with a message, and looked at.

import { h, iconButton } from "./dom.js";

const LONGEST = 1024; // pixels of a side; several such pictures fit into one request
const QUALITY = 0.92;

/** A file as a `data:` URL, made smaller if need be; null where the browser knows it for no picture. */
export async function pictureUrl(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const share = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = h("canvas", { width: Math.round(bitmap.width * share) || 1, height: Math.round(bitmap.height * share) || 1 });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", QUALITY);
}

/** Pictures in a row; each with a button that takes it away, where that is asked for. */
export function pictureList(urls, remove = null) {
  return urls.map((url, at) =>
    h("li", {}, h("img", { src: url, alt: `Picture ${at + 1}` }), remove && iconButton("close", `Remove picture ${at + 1}`, () => remove(at))),
  );
}
