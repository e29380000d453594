// Files that were sent for a session: the server has them no longer than they can still be read on.

import { get, request, upload } from "./api.js";

const purpose = (view) => `session:${view.id}`;
const fingerprint = ({ sha256, filename }) => `upload:${sha256}:${filename}`;

/** Send a file for a session; its id. */
export async function sendFile(view, file, signal) {
  return (await upload(file, purpose(view), signal)).id;
}

/** The file that a text was read from, if it is still there. */
export async function fileOf(text) {
  return (await stored()).find((file) => fingerprint(file) === text.fingerprint);
}

/** Remove the file that a session has just read from, and those of its other texts, but for a text that can be read on. */
export async function tidy(view, id) {
  const texts = view.about.files;
  const last = texts.filter(({ chars }) => chars).at(-1);
  await removeFiles(view, (file) => {
    const same = (text) => text?.fingerprint === fingerprint(file);
    return !(same(last) && !last.complete) && (file.id === id || texts.some(same));
  });
}

/** Remove the files that were sent for a session, as far as they are `unneeded`. */
export async function removeFiles(view, unneeded = () => true) {
  const sent = (await stored()).filter((file) => file.purpose === purpose(view));
  await Promise.all(sent.filter(unneeded).map(({ id }) => request("DELETE", `/v1/files/${id}`)));
}

async function stored() {
  return (await get("/v1/files")).data;
}
