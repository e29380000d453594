// Questions and answers as they stand in the conversation, with the sources of each answer.

import { guarded, count, el, percent, plural } from "./dom.js";
import { openPanel } from "./panel.js";

const SMALL = 0.01;

/** A question. One that is asked without keeping says so. */
export function question(text, apart = false) {
  const who = el("h3", {}, "You", apart ? el("span", { className: "badge" }, "not kept") : "");
  return el("article", { className: "question" }, who, el("p", { className: "said" }, text));
}

/** An answer that is being written, or one of before; `wrote` adds to it and `ended` gives its account. */
export class Answer {
  constructor(session, name) {
    this.session = session;
    this.text = el("p", { className: "said" });
    this.state = el("span", { className: "badge" }, "reading");
    this.node = el("article", { className: "answer", "aria-busy": "true" });
    this.node.append(el("h3", {}, name, this.state), this.text);
  }

  wrote(piece) {
    this.say("writing");
    this.text.textContent = (this.text.textContent + piece).trimStart();
  }

  say(state) {
    this.state.textContent = state;
    this.state.hidden = !state;
  }

  ended(context, sources, complete) {
    this.node.setAttribute("aria-busy", "false");
    this.say(complete ? "" : "cut short");
    if (context) this.node.append(account(context));
    if (sources?.length) this.node.append(listed(this.session, sources));
  }

  failed(message) {
    this.node.setAttribute("aria-busy", "false");
    this.say("failed");
    if (!this.text.textContent) this.text.remove();
    this.node.append(el("p", { className: "error", role: "alert" }, message));
  }
}

function account(context) {
  const spent = ((context.prompt_ms + context.predicted_ms) / 1000).toFixed(1);
  const parts = [`${count(context.seen)} tokens seen`, `${count(context.kept)} kept`];
  if (context.fetched) parts.push(`${count(context.fetched)} fetched`);
  if (context.dropped) parts.push(`${count(context.dropped)} dropped`);
  parts.push(context.exact ? "exact" : "not exact", `${spent} s`);
  return el("p", { className: "fine account" }, parts.join(" \u00b7 "));
}

/** The sources, those that hardly mattered folded away. */
function listed(session, sources) {
  const main = sources.filter(({ weight }, at) => at === 0 || weight >= SMALL);
  const rest = sources.slice(main.length);
  const list = (some) => el("ol", { className: "sources" }, ...some.map((source) => item(session, source)));
  const box = el("section", { "aria-label": "Sources" }, el("h4", {}, "Drawn from"), list(main));
  if (rest.length) {
    const title = `${plural(rest.length, "more place")} with under 1 % of attention`;
    box.append(el("details", {}, el("summary", { className: "fine" }, title), list(rest)));
  }
  return box;
}

function item(session, source) {
  const weight = el("i", { className: "weight", "aria-hidden": "true" });
  weight.style.setProperty("--share", source.weight);
  const where = el("span", { className: "where" }, source.file, el("b", {}, ` line ${count(source.line)}`));
  const head = el("span", { className: "head" }, where, weight, el("span", {}, percent(source.weight)));
  const open = guarded(() => openPanel(session, source));
  const quote = el("q", {}, source.text);
  return el("li", {}, el("button", { type: "button", className: "source", onclick: open }, head, quote));
}
