// Small dialogs: one builder, and the four questions that the page asks.

import { el } from "./dom.js";

/** Ask with these fields; resolves to their values by name, or to null where it was given up. */
function ask(title, text, fields, confirm) {
  return new Promise((resolve) => {
    let values = null;
    const finish = (event) => {
      event.preventDefault();
      values = Object.fromEntries(fields.map(({ field }) => [field.name, field.value]));
      dialog.close();
    };
    const rows = fields.map(({ label, field }) => el("label", {}, el("span", {}, label), field));
    const cancel = el("button", { type: "button", className: "quiet", onclick: () => dialog.close() }, "Cancel");
    const form = el("form", { onsubmit: finish }, el("h2", {}, title), el("p", { className: "fine" }, text), ...rows);
    form.append(el("div", { className: "actions" }, cancel, el("button", { type: "submit" }, confirm)));
    const dialog = el("dialog", { "aria-label": title }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(values);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export async function askForKey() {
  const field = el("input", { name: "key", type: "password", required: true, autocomplete: "off" });
  const text = "This server wants an API key. It is kept until this tab is closed.";
  return (await ask("API key", text, [{ label: "Key", field }], "Go on"))?.key.trim() || null;
}

export async function askForName(title, text, value) {
  const pattern = "[A-Za-z0-9][A-Za-z0-9_.\\-]*";
  const hint = "Letters, digits, dots, dashes and underscores";
  const field = el("input", { name: "name", value, required: true, maxLength: 64, pattern, title: hint, autocomplete: "off" });
  return (await ask(title, text, [{ label: "Name", field }], title))?.name ?? null;
}

export async function askForText(name) {
  const title = el("input", { name: "name", value: name, required: true, autocomplete: "off" });
  const text = el("textarea", { name: "text", required: true, rows: 12, autofocus: true });
  const fields = [{ label: "Name", field: title }, { label: "Text", field: text }];
  return ask("Paste text", "Sources of answers will name it.", fields, "Read it");
}

export async function confirmed(title, text) {
  return (await ask(title, text, [], "Delete")) !== null;
}
