// One session as the page has it: what the server says of it, its conversation, and what is being done with it.

import { get } from "./api.js";
import { el } from "./dom.js";
import { Answer, question } from "./turns.js";

const LOOK_MS = 150;
const views = new Map();

export class View {
  constructor(id, model) {
    this.id = id;
    this.model = model;
    this.log = el("div");
    this.about = null;
    this.reading = null; // {name, progress, stop} while a text is read
    this.answering = null; // an AbortController while it is asked
  }

  get path() {
    return `/v1/sessions/${this.id}`;
  }

  get context() {
    return this.reading?.progress?.context ?? this.about.context;
  }

  /** What the server says of it now. */
  async refresh() {
    this.about = await get(this.path);
  }

  /** The same, when the server has let go of what was stopped. */
  async settle() {
    do {
      await this.refresh();
      if (this.about.busy) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    } while (this.about.busy);
  }

  /** Put the messages that were kept into the conversation. */
  async recall() {
    const told = (line) => (line.role === "user" ? question(line.content) : this.#answered(line).node);
    this.log.replaceChildren(...(await this.#messages()).map(told));
  }

  /** The answer that was noted last, if it is one to this question. */
  async lastAnswer(text) {
    const [asked, line] = (await this.#messages()).slice(-2);
    return line?.role === "assistant" && asked.content === text ? this.#answered(line) : null;
  }

  async #messages() {
    return (await get(`${this.path}/messages`)).data;
  }

  #answered({ content, context, sources, complete }) {
    const answer = new Answer(this.id, this.model);
    answer.wrote(content);
    answer.ended(context, sources, complete ?? true);
    return answer;
  }
}

/** The view of a session, made and filled on first use. */
export async function viewOf(id, model) {
  const view = views.get(id) ?? new View(id, model);
  await view.refresh();
  if (!views.has(id)) {
    await view.recall();
    views.set(id, view);
  }
  return view;
}

export function forget(id) {
  views.delete(id);
}
