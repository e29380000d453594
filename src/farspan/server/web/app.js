// The page: which session is open, and what buttons and keys do.

import { get, post, request } from "./api.js";
import { begin, fillPicker, free, names } from "./begin.js";
import { ask, showAsking } from "./chat.js";
import { askForName, askForText, confirmed } from "./dialogs.js";
import { $, el, guarded, notice } from "./dom.js";
import { EXAMPLE_QUESTION, example } from "./example.js";
import { fileOf, removeFiles } from "./files.js";
import { follow, reveal } from "./follow.js";
import { showMeter } from "./meter.js";
import { closePanel } from "./panel.js";
import { readFiles, readOn, readText, showTexts } from "./reading.js";
import { forget, viewOf } from "./view.js";

let model = null;
let current = null;
let beginning = null;

const opened = () => decodeURIComponent(location.hash.slice(1));

/** Open the session that the address names; without one a new one is begun. */
async function open() {
  const id = opened();
  notice(null);
  closePanel();
  if ($("sessions").matches(":popover-open")) $("sessions").hidePopover();
  current = null;
  try {
    const view = id && (await viewOf(id, model.id));
    if (opened() !== id) return;
    current = view || null;
  } catch (error) {
    history.replaceState(null, "", "#");
    notice(error.message);
  }
  await list();
  showFrame();
  follow();
  focusQuestion();
}

/** Be ready for a question, unless that brings up a keyboard on the screen. */
function focusQuestion() {
  if (current && matchMedia("(pointer: fine)").matches) $("question").focus({ preventScroll: true });
}

async function list() {
  const items = (await names()).map((name) => {
    const link = el("a", { href: `#${name}` }, name);
    if (name === current?.id) link.setAttribute("aria-current", "page");
    return el("li", {}, link);
  });
  $("session-list").replaceChildren(...items);
}

/** Show what stands as long as the same session is open. */
function showFrame() {
  const about = current?.about;
  document.title = about ? `${about.id} \u00b7 farspan` : "farspan";
  $("title").textContent = about?.id ?? "New session";
  $("setup").textContent = about ? `${about.method}, ${about.budget.replace("device=", "")}` : "";
  $("begin").hidden = Boolean(about);
  for (const part of ["session-actions", "meter", "strip", "ask"]) $(part).hidden = !about;
  $("log").replaceChildren(...(about ? [current.log] : []));
  if (about) show(current);
}

/** Show what changes while a session reads or answers, if it is the one that is open. */
function show(view) {
  if (view !== current) return;
  showMeter(view.context, view.about.budget, model);
  showTexts(view, guarded(readAgain));
  showAsking(view);
  showHelp(view);
  reveal();
}

/** What to do next, as long as nothing was said. */
function showHelp(view) {
  const help = view.log.querySelector(".help") ?? el("p", { className: "help" });
  help.textContent = helpFor(view);
  if (view.log.querySelector("article")) help.remove();
  else view.log.append(help);
}

function helpFor(view) {
  if (view.reading) return "The bar above shows where every token is that was read: kept at hand, stored to be fetched, or dropped.";
  if (!view.about.files.some(({ chars }) => chars)) return "Nothing read yet. Drop files anywhere on this page, or upload or paste a text above.";
  return "Ask about what was read. Below each answer stand the places that it drew on; open one to see it in its text.";
}

/** The session that is open, begun first if there is none. */
async function session(subject) {
  if (current) return current;
  beginning ??= beginNow(subject).finally(() => (beginning = null));
  return beginning;
}

async function beginNow(subject) {
  const id = await begin(subject);
  const view = await viewOf(id, model.id);
  current = view;
  history.pushState(null, "", `#${id}`);
  await list();
  showFrame();
  focusQuestion();
  return view;
}

async function give(files) {
  if (!files.length) return;
  notice(null);
  const view = await session(files[0].name.replace(/\.[^.]*$/, ""));
  await readFiles(view, files, () => show(view));
}

async function paste() {
  const read = new Set(current?.about.files.map(({ file }) => file));
  let name = "Pasted text";
  for (let number = 2; read.has(name); number++) name = `Pasted text ${number}`;
  const given = await askForText(name);
  if (given) await tell(given.name, given.text);
}

async function tell(name, text) {
  notice(null);
  const view = await session(name);
  await readText(view, name, text, () => show(view));
}

async function tryExample() {
  $("question").value = EXAMPLE_QUESTION;
  await tell("Example", example(model.context.native_length));
}

/** Read a text on that was broken off, if it was a file that is still there. */
async function readAgain(text) {
  const view = current;
  const name = text.file;
  const file = await fileOf(text);
  if (!file) throw new Error(`${name} is no file of this server: give it once more to have it read.`);
  await readOn(view, name, file.id, () => show(view));
}

async function send() {
  const view = current;
  const text = $("question").value.trim();
  if (!text || !view || view.answering || view.reading) return;
  notice(null);
  $("question").value = "";
  const answered = ask(view, text, !$("apart").checked, () => show(view));
  follow();
  await answered;
}

async function fork() {
  const view = current;
  const text = "The fork has read and been told the same; from then on the two grow apart.";
  const name = await askForName("Fork", text, await free(`${view.id}-fork`));
  if (!name) return;
  await post(`${view.path}/fork`, { id: name });
  location.hash = name;
}

async function remove() {
  const view = current;
  if (!(await confirmed(`Delete ${view.id}?`, "What it has read and been told is gone then."))) return;
  await request("DELETE", view.path);
  forget(view.id);
  location.hash = "";
  await removeFiles(view);
}

function onClick(id, work) {
  $(id).addEventListener("click", guarded(work));
}

function listen() {
  window.addEventListener("hashchange", guarded(open));
  for (const id of ["upload", "begin-upload"]) onClick(id, () => $("file").click());
  for (const id of ["paste", "begin-paste"]) onClick(id, paste);
  onClick("begin-example", tryExample);
  onClick("fork", fork);
  onClick("delete", remove);
  onClick("stop", () => current.answering.abort());
  onClick("stop-reading", () => current.reading.stop.abort());
  onClick("notice-close", () => notice(null));
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    (current ? $("question") : $("begin-upload")).focus();
  });
  $("file").addEventListener("change", guarded(async () => {
    const files = [...$("file").files];
    $("file").value = "";
    await give(files);
  }));
  $("begin").addEventListener("submit", guarded(async (event) => {
    event.preventDefault();
    await session("session");
  }));
  $("ask").addEventListener("submit", guarded(async (event) => {
    event.preventDefault();
    await send();
  }));
  $("question").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("ask").requestSubmit();
  });
  listenToDrops();
}

function listenToDrops() {
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    $("over").hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("over").hidden = true;
  });
  document.addEventListener("drop", guarded(async (event) => {
    $("over").hidden = true;
    if (!holdsFiles(event)) return;
    event.preventDefault();
    await give([...event.dataTransfer.files]);
  }));
}

async function start() {
  [model] = (await get("/v1/models")).data;
  const window = model.context.native_length;
  $("model-name").textContent = `${model.id}${window ? `, window ${window.toLocaleString("en")}` : ""}`;
  await fillPicker(model);
  listen();
  await open();
}

guarded(start)();
