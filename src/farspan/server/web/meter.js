// The context meter: where every token that the model has seen is now.

import { $, bytes, count } from "./dom.js";

/** Show the counts of a session with its budget, beside the model's own window. */
export function showMeter(context, budget, model) {
  for (const name of ["seen", "kept", "stored", "dropped", "fetched"]) $(name).textContent = count(context[name]);
  for (const name of ["kept", "stored", "dropped"]) $(`bar-${name}`).style.flexGrow = context[name];
  showWindow(context.seen, model.context.native_length);
  showTiers(context.kv_bytes, budget);
  showExact(context);
  const parts = ["kept", "stored", "dropped"].map((name) => `${name} ${count(context[name])}`).join(", ");
  $("bar").setAttribute("aria-label", context.seen ? `${parts} of ${count(context.seen)} tokens` : "nothing read yet");
}

/** The window as a length on the scale of the bar, which is as long as it at least. */
function showWindow(seen, window) {
  $("window").textContent = window ? count(window) : "unknown";
  $("window-mark").hidden = !window;
  $("window-width").style.width = `${Math.min(1, window / Math.max(seen, 1)) * 100}%`;
  $("bar-rest").style.flexGrow = Math.max(0, window - seen);
}

function showTiers(held, budget) {
  const limits = limitsOf(budget);
  for (const tier of ["device", "host", "disk"]) {
    const limit = limits[tier] && limits[tier] !== "unlimited" ? ` of ${limits[tier]}` : "";
    $(tier).textContent = bytes(held[tier]) + limit;
  }
}

function limitsOf(budget) {
  const pairs = budget.split(",").map((part) => part.split("="));
  return Object.fromEntries(pairs.map(([tier, size]) => [tier, size?.replace(/^(\d+)(\D+)B$/, "$1 $2B")]));
}

function showExact({ seen, exact }) {
  const badge = $("exact");
  badge.textContent = !seen ? "empty" : exact ? "exact" : "not exact";
  badge.classList.toggle("on", Boolean(seen && exact));
  badge.title = exact ? "Every answer equals full attention" : "Answers look at a part of what was seen";
}

/** How much a budget holds, said beside the field where it is chosen. */
export function roomOf(budget, model) {
  const found = /^\s*(?:device\s*=\s*)?([\d.]+)\s*([KMGT]?)(i?B)?\b/i.exec(budget);
  if (!found) return "";
  const amount = found[1] * 1024 ** " KMGT".indexOf(found[2].toUpperCase() || " ");
  const tokens = found[3] ? amount / model.context.kv_bytes_per_token : amount;
  const window = count(model.context.native_length);
  return `Keeps about ${count(Math.floor(tokens))} tokens at hand. The window of ${model.id} is ${window}.`;
}
