// Elements, and numbers as a person reads them.

export const $ = (id) => document.getElementById(id);

/** An element with properties, `on...` listeners and children; strings are put in as text. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const whole = new Intl.NumberFormat("en");

export const count = (amount) => whole.format(amount);

export function plural(amount, noun) {
  return `${count(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}

export function bytes(amount) {
  let unit = 0;
  for (; amount >= 1024 && unit < 4; unit++) amount /= 1024;
  return `${Number(amount.toPrecision(3))} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

export function percent(share) {
  const points = Math.round(share * 100);
  return points < 1 ? "under 1 %" : `${points} %`;
}

/** How much of a text has been read. */
export const shareOf = ({ processed, total }) => Math.min(1, processed / Math.max(total, 1));

export function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Say something to a screen reader that is seen elsewhere. */
export function announce(text) {
  $("status").textContent = text;
}

/** Show a message of the server until it is closed or another comes; null takes it away. */
export function notice(text) {
  $("notice").hidden = !text;
  $("notice-text").textContent = text ?? "";
}

/** Have an event's work done, and show what goes wrong in the page. */
export function guarded(work) {
  return async (...given) => {
    try {
      return await work(...given);
    } catch (error) {
      if (error.name !== "AbortError") notice(error.message);
    }
  };
}
