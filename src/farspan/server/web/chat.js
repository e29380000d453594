// Questions to a session, and answers as they are written.

import { stream } from "./api.js";
import { $, percent, shareOf } from "./dom.js";
import { Answer, question } from "./turns.js";

/** Ask, and write the answer into the view's conversation. `changed` is called when there is something to show. */
export async function ask(view, text, keep, changed) {
  const answer = new Answer(view.id, view.model);
  const asked = question(text, !keep);
  view.answering = new AbortController();
  view.log.append(asked, answer.node);
  changed();
  try {
    await receive(view, text, keep, answer, changed);
  } catch (error) {
    if (error.name === "AbortError") await stopped(view, text, keep, answer);
    else fail(view, text, answer, error);
  } finally {
    view.answering = null;
    changed();
  }
}

async function receive(view, text, keep, answer, changed) {
  const body = {
    messages: [{ role: "user", content: text }],
    stream_options: { include_usage: true },
    farspan: { session: view.id, keep, progress: true },
  };
  for await (const event of stream("/v1/chat/completions", body, view.answering.signal)) {
    const choice = event.choices[0];
    const progress = event.prompt_progress;
    if (progress) answer.say(`reading ${percent(shareOf(progress))}`);
    if (choice?.delta.content) answer.wrote(choice.delta.content);
    if (choice?.finish_reason) {
      answer.ended(event.context, event.context.sources, choice.finish_reason === "stop");
      if (keep) view.about.context = event.context;
    }
    changed();
  }
}

/** After a stop the server has noted as much of a kept answer as there was, with its sources. */
async function stopped(view, text, keep, answer) {
  answer.say("stopping");
  await view.settle();
  const noted = keep && (await view.lastAnswer(text));
  if (noted) answer.node.replaceWith(noted.node);
  else answer.ended(null, null, false);
}

function fail(view, text, answer, error) {
  answer.failed(error.message);
  if (!$("question").value) $("question").value = text;
}

/** Show whether it can be asked now, and that it is being. */
export function showAsking(view) {
  const busy = view.answering !== null;
  $("send").hidden = busy;
  $("send").disabled = view.reading !== null;
  $("stop").hidden = !busy;
  $("question").placeholder = view.reading ? "Ask when it has been read" : "Ask about what was read";
}
