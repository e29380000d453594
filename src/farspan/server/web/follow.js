// Keeps the last question with as much of its answer as there is room for in sight, until one scrolls oneself.

import { $ } from "./dom.js";

const ABOVE_PX = 16;
const NEAR_PX = 2;
const box = $("scroll");
let follows = true;
let stands = 0;

/** Follow again what is said. */
export function follow() {
  follows = true;
  reveal();
}

/** Bring what was added into sight. */
export function reveal() {
  if (!follows) return;
  const last = [...box.querySelectorAll("article.question")].at(-1);
  box.scrollTop = last ? last.offsetTop - ABOVE_PX : 0;
  stands = box.scrollTop;
}

box.addEventListener("scroll", () => {
  if (Math.abs(box.scrollTop - stands) > NEAR_PX) follows = false;
});
