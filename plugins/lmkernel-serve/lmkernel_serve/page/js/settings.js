// How answers are drawn. What is left empty is left to the server.

import { h } from "./dom.js";
import { keepItem, readItem } from "./keeping.js";

const USUAL = { system: "", temperature: 0.7, top_p: 1, max_tokens: "", seed: "", stop: "" };

/** The settings that were kept, or the usual ones. */
export function readSettings() {
  try {
    return { ...USUAL, ...JSON.parse(readItem("settings")) };
  } catch {
    return { ...USUAL };
  }
}

/** The fields of a request; a seed is drawn where none is set, so that every answer can be had again. */
export function asFields(settings) {
  const stop = settings.stop.split("\n").filter((line) => line !== "");
  return {
    temperature: Number(settings.temperature),
    top_p: Number(settings.top_p),
    seed: settings.seed === "" ? crypto.getRandomValues(new Uint32Array(1))[0] : Number(settings.seed),
    ...(settings.max_tokens === "" ? {} : { max_tokens: Number(settings.max_tokens) }),
    ...(stop.length ? { stop } : {}),
  };
}

/** The form in which they are changed; each change counts from the next answer on. */
export function settingsForm(settings) {
  const form = h("form", { class: "settings", onsubmit: (event) => event.preventDefault() });
  const change = (name, value) => {
    settings[name] = value;
    keepItem("settings", JSON.stringify(settings));
  };
  const draw = () =>
    form.replaceChildren(
      area("system", "System prompt", "What the model is told before the conversation", settings, change, 4),
      slider("temperature", "Temperature", "0 takes the likeliest token", settings, change, 0, 2, 0.05),
      slider("top_p", "Top-p", "Draws from the likeliest tokens, up to this much probability", settings, change, 0.01, 1, 0.01),
      number("max_tokens", "Maximum tokens", "as many as the context has room for", settings, change, 1),
      number("seed", "Seed", "a new one for each answer", settings, change, 0),
      area("stop", "Stop sequences", "Texts that end an answer, one per line", settings, change, 2),
      h("button", { type: "button", onclick: () => { for (const name in USUAL) change(name, USUAL[name]); draw(); } }, "Reset to defaults"),
    );
  draw();
  return form;
}

function field(name, label, hint, input) {
  input.id = `set-${name}`;
  input.setAttribute("aria-describedby", `hint-${name}`);
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input, h("p", { class: "small", id: `hint-${name}` }, hint));
}

function area(name, label, hint, settings, change, rows) {
  const input = h("textarea", { rows, spellcheck: "false", oninput: () => change(name, input.value) });
  input.value = settings[name];
  return field(name, label, hint, input);
}

function slider(name, label, hint, settings, change, min, max, step) {
  const shown = h("output", { for: `set-${name}` }, String(settings[name]));
  const input = h("input", { type: "range", min, max, step, value: settings[name], oninput: () => { shown.textContent = input.value; change(name, Number(input.value)); } });
  const made = field(name, label, hint, input);
  made.firstChild.append(shown);
  return made;
}

function number(name, label, placeholder, settings, change, min) {
  const input = h("input", { type: "number", min, step: 1, inputmode: "numeric", placeholder: "none", value: settings[name] });
  const hint = `Empty: ${placeholder}`;
  input.addEventListener("input", () => {
    const good = input.validity.valid && Number.isSafeInteger(Number(input.value));
    input.setAttribute("aria-invalid", String(!good));
    if (good) change(name, input.value);
  });
  return field(name, label, hint, input);
}
