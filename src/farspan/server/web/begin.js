// A session that is about to begin: with which method, on what budget, under which name.

import { get, post } from "./api.js";
import { $, el } from "./dom.js";
import { roomOf } from "./meter.js";

const LONGEST = 40;
const LABELS = {
  recalls: "Recall what does not fit",
  compresses: "Compress what does not fit",
  exact: "Exact: keep everything",
  forgets: "Forget what does not fit",
  "re-reads": "Read again for every question",
};
let ideas = new Map();

/** Fill the picker with what the server offers. */
export async function fillPicker(model) {
  const { data } = await get("/v1/methods");
  ideas = new Map(data.map((method) => [method.id, method.idea.replaceAll("`", "")]));
  const kinds = [...Object.keys(LABELS), ...data.map((method) => method.what_does_not_fit)];
  const groups = [...new Set(kinds)].map((kind) => {
    const some = data.filter((method) => method.what_does_not_fit === kind);
    const options = some.map(({ id }) => el("option", { value: id }, id));
    return el("optgroup", { label: LABELS[kind] ?? kind }, ...options);
  });
  const { method, budget } = model.context;
  if (!ideas.has(method)) groups.unshift(el("option", { value: method }, method));
  $("method").replaceChildren(...groups);
  $("method").value = method;
  $("budget").value = budget.replace(/^device=([^,]+)$/, "$1");
  const explain = () => {
    $("idea").textContent = ideas.get($("method").value) ?? "";
    $("room").textContent = roomOf($("budget").value, model);
  };
  $("method").addEventListener("change", explain);
  $("budget").addEventListener("input", explain);
  explain();
}

/** Begin a session as the picker says; its name. One without a name is named after `subject`. */
export async function begin(subject) {
  const given = $("name").value.trim();
  const choice = { method: $("method").value, budget: $("budget").value };
  const { id } = await post("/v1/sessions", { id: given || (await free(slug(subject))), ...choice });
  $("name").value = "";
  return id;
}

/** This name, or with a number behind it where it is taken. */
export async function free(name) {
  const taken = new Set(await names());
  let found = name;
  for (let number = 2; taken.has(found); number++) found = `${name}-${number}`;
  return found;
}

export async function names() {
  return (await get("/v1/sessions")).data.map(({ id }) => id);
}

function slug(text) {
  const plain = text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return plain.slice(0, LONGEST).replace(/^-+|-+$/g, "") || "session";
}
