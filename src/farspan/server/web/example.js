// A text of a few model windows in which one sentence says something.

const FACT = "The number of the copper lantern is 48213.";
const WORDS = "the sea was calm and a grey bird went over old harbour while men spoke of wind bread long roads".split(" ");
const WORDS_A_SENTENCE = 9;

export const EXAMPLE_QUESTION = "What is the number of the copper lantern?";

/** Sentences of random words, with the fact in the middle. */
export function example(windowTokens) {
  const sentences = Math.ceil((windowTokens * 4) / (WORDS_A_SENTENCE * 1.5));
  const lines = Array.from({ length: Math.min(sentences, 2000) }, sentence);
  lines.splice(lines.length / 2, 0, FACT);
  return lines.join("\n");
}

function sentence() {
  const words = Array.from({ length: WORDS_A_SENTENCE }, () => WORDS[Math.floor(Math.random() * WORDS.length)]);
  words[0] = words[0][0].toUpperCase() + words[0].slice(1);
  return `${words.join(" ")}.`;
}
