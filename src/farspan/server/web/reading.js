// Texts on their way into a session: files that are sent, text that is pasted, and how reading comes along.

import { stream } from "./api.js";
import { $, announce, count, duration, el, notice, percent, shareOf } from "./dom.js";
import { sendFile, tidy } from "./files.js";

const QUARTER = 0.25;

/** Send files and have them read, one after the other. `changed` is called whenever there is something to show. */
export async function readFiles(view, files, changed) {
  const work = [...files].map((file) => ({
    name: file.name,
    body: async (signal) => ({ file_id: await sendFile(view, file, signal) }),
  }));
  await readAll(view, work, changed);
}

export async function readText(view, name, text, changed) {
  await readAll(view, [{ name, body: async () => ({ name, text }) }], changed);
}

/** Read on where a file was broken off. */
export async function readOn(view, name, file, changed) {
  await readAll(view, [{ name, body: async () => ({ file_id: file }) }], changed);
}

async function readAll(view, work, changed) {
  if (view.reading) throw new Error("A text is being read already. Wait until it is, or stop it.");
  const stop = new AbortController();
  try {
    for (const [at, { name, body }] of work.entries()) {
      const numbered = work.length > 1 ? `${name} (${at + 1} of ${work.length})` : name;
      view.reading = { name: numbered, progress: null, stop };
      changed();
      await readOne(view, await body(stop.signal), changed);
      announce(`${name} was read`);
    }
  } catch (error) {
    if (error.name !== "AbortError") notice(`${view.reading.name}: ${error.message}`);
  } finally {
    await view.settle().finally(() => (view.reading = null));
    changed();
  }
}

async function readOne(view, body, changed) {
  try {
    await readStream(view, body, changed);
  } finally {
    await view.settle();
    if (body.file_id) await tidy(view, body.file_id);
  }
}

async function readStream(view, body, changed) {
  let told = 0;
  for await (const event of stream(`${view.path}/read`, body, view.reading.stop.signal)) {
    if (event.object !== "session.reading") continue;
    const progress = (view.reading.progress = event.prompt_progress);
    const share = shareOf(progress);
    if (share - told >= QUARTER) announce(`${view.reading.name}: ${percent((told = share))} read`);
    changed();
  }
}

/** Show what a session has read, or how what it reads comes along. `again` reads a text on. */
export function showTexts(view, again) {
  const busy = view.reading !== null;
  $("reading").hidden = !busy;
  $("texts").hidden = $("add").hidden = busy;
  if (busy) showReading(view.reading);
  else $("texts").replaceChildren(...chips(view.about.files, again));
}

function showReading({ name, progress }) {
  $("reading-name").textContent = progress ? `Reading ${name}` : `Sending ${name}`;
  $("reading-count").textContent = progress ? pace(progress) : "";
  if (progress) $("progress").value = shareOf(progress);
  else $("progress").removeAttribute("value");
}

function pace(progress) {
  const { processed, total, time_ms } = progress;
  const left = ((total - processed) * time_ms) / 1000 / processed;
  return `${percent(shareOf(progress))} \u00b7 ${count(processed)} of ${count(total)} tokens \u00b7 ${duration(left)} left`;
}

function chips(all, again) {
  const files = all.filter(({ chars }) => chars);
  if (!files.length) return [el("li", { className: "fine" }, "No text yet")];
  return files.map((file, at) => {
    const size = `${count(file.chars)} characters${file.complete ? "" : ", not to its end"}`;
    const chip = el("li", { className: "chip", title: `${file.file}: ${size}` }, el("b", {}, file.file));
    chip.append(el("span", {}, file.complete ? "" : " partly read"));
    if (!file.complete && at === files.length - 1) {
      const go = () => again(file);
      chip.append(el("button", { type: "button", className: "quiet", onclick: go }, "Read on"));
    }
    return chip;
  });
}
