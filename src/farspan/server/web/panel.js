// The panel with the text around a source, which is marked in it.

import { get } from "./api.js";
import { $, count, guarded, percent } from "./dom.js";

const AROUND = 1200;
const MORE = 6000;
let shown = null;
let opener = null;

/** Show the text around a source of a session. The places of sources count characters, not UTF-16 units. */
export async function openPanel(session, source) {
  opener = document.activeElement;
  shown = { session, source, from: Math.max(0, source.start - AROUND), to: source.end + AROUND, ended: false };
  $("panel-title").textContent = source.file;
  const place = `Line ${count(source.line)}, characters ${count(source.start)} to ${count(source.end)}`;
  $("panel-where").textContent = `${place}. ${percent(source.weight)} of the attention that the answer paid to texts.`;
  $("panel").hidden = false;
  document.body.classList.add("with-panel");
  await load();
  if (shown?.source !== source) return;
  $("panel-text").querySelector("mark").scrollIntoView({ block: "center" });
  $("panel-title").focus({ preventScroll: true });
}

export function closePanel() {
  if ($("panel").hidden) return;
  $("panel").hidden = true;
  document.body.classList.remove("with-panel");
  shown = null;
  if (opener?.isConnected) opener.focus();
}

async function load() {
  const { session, source, from, to } = shown;
  const where = new URLSearchParams({ file: source.file, start: from, end: to });
  const { text } = await get(`/v1/sessions/${session}/text?${where}`);
  if (shown?.source !== source) return;
  const chars = [...text];
  const part = (start, end) => chars.slice(Math.max(0, start - from), end - from).join("");
  const here = part(source.start, source.end) === source.text;
  shown.ended = chars.length < to - from;
  showText(here ? part(from, source.start) : "", source.text, here ? part(source.end, to) : "");
  if (!here) $("panel-where").textContent += " Another text of this name was read, so only the passage is shown.";
  $("earlier").hidden = !here || from === 0;
  $("later").hidden = !here || shown.ended;
}

function showText(before, marked, after) {
  const mark = document.createElement("mark");
  mark.textContent = marked;
  $("panel-text").replaceChildren(before, mark, after);
}

/** Load more above, and leave what is read where it is. */
async function earlier() {
  const page = $("panel-scroll");
  const below = page.scrollHeight - page.scrollTop;
  shown.from = Math.max(0, shown.from - MORE);
  await load();
  page.scrollTop = page.scrollHeight - below;
}

async function later() {
  shown.to += MORE;
  await load();
}

$("panel-close").addEventListener("click", closePanel);
$("earlier").addEventListener("click", guarded(earlier));
$("later").addEventListener("click", guarded(later));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) closePanel();
});
