// Asks for the server's key.

import { keepKey } from "./api.js";
import { byId } from "./dom.js";

/** Whether a key was given. */
export function askForKey() {
  const dialog = byId("key-dialog");
  if (dialog.open) return Promise.resolve(false);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    byId("key-cancel").onclick = () => dialog.close();
    dialog.onclose = () => {
      const given = dialog.returnValue === "key";
      if (given) keepKey(byId("key").value.trim());
      byId("key").value = "";
      resolve(given);
    };
  });
}
