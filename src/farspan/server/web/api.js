// Requests to the server: the key is asked for when it is wanted, and a model that still loads is waited for.

import { askForKey } from "./dialogs.js";
import { notice } from "./dom.js";

const KEY = "farspan-key";
const RETRY_MS = 1500;
let asking = null;

/** JSON for JSON. */
export async function request(method, path, body) {
  return (await send(method, path, body)).json();
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body);

/** Send a file; its description. */
export async function upload(file, purpose, signal) {
  const form = new FormData();
  form.append("purpose", purpose);
  form.append("file", file, file.name);
  return (await send("POST", "/v1/files", form, signal)).json();
}

/** The objects that the server streams. Throws the error that is streamed, and AbortError when `signal` says so. */
export async function* stream(path, body, signal) {
  const response = await send("POST", path, { ...body, stream: true }, signal);
  for await (const line of lines(response.body)) {
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
    const event = JSON.parse(line.slice(6));
    if (event.error) throw new Error(event.error.message);
    yield event;
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split(/\r?\n/);
    rest = parts.pop();
    yield* parts;
  }
}

/** A response that is ok. */
async function send(method, path, body, signal) {
  for (;;) {
    const response = await reached(method, path, body, signal);
    if (response.ok) return response;
    if (response.status === 401 && (await newKey())) continue;
    if (response.status === 503) {
      await loading();
      continue;
    }
    throw new Error(await message(response));
  }
}

async function reached(method, path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  try {
    return await fetch(path, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
}

async function message(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered ${response.status} ${response.statusText}`;
  }
}

/** Ask for the key, once for all who need it. */
async function newKey() {
  asking ??= askForKey().finally(() => (asking = null));
  const key = await asking;
  if (key) sessionStorage.setItem(KEY, key);
  return key;
}

/** Wait until the model is loaded, and say so meanwhile. */
async function loading() {
  for (;;) {
    const health = await reached("GET", "/health");
    if (health.ok) break;
    notice(`Not ready yet: ${await message(health)}. The page goes on by itself.`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  notice(null);
}
