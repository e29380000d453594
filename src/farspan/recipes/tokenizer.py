"""The bundled model's tokenizer: byte-level BPE in which the tasks' words are single tokens.

Digits come in groups of up to three and every punctuation mark stands alone, so that the words of a key and the end of
a quote are cut the same wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from farspan.tasks.kit import words

MARKERS = BEGIN, USER, ASSISTANT, END = "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>"
SPLIT = r" ?\p{L}\p{M}*(?:\p{L}|\p{M})*|\p{N}{1,3}| ?[^\s\p{L}\p{N}]|\s+(?=\s\S)|\s+"
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% else %}{{ '<|begin|>' if loop.first else '<|user|>' }}{{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


FORMS = (
    "What is the number of the",
    "What is the value of",
    "What is the chain of",
    "What are the three entries of the",
    "What is the birth year of",
    "What is the town of the trade of the friend of",
    'Continue the quote: "',
    "Entry one two three entry; entry",
)


def train(texts: Iterable[str], *, size: int = 4096) -> PreTrainedTokenizerFast:
    """A tokenizer of `size` tokens: bytes, all groups of one to three digits, the tasks' words, then BPE of `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(MARKERS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_with_words(texts), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast


def _with_words(texts: Iterable[str]) -> Iterator[str]:
    yield from texts
    often = 3000
    lists = (words.ADJECTIVES, words.NOUNS, words.FIRST_NAMES, words.LAST_NAMES, words.TOWNS, words.TRADES)
    spaced = " ".join(f" {word}" for group in lists for word in group)
    capital = "\n".join((*FORMS, *words.ADJECTIVES))
    digits = " ".join(f"{number:0{width}d}" for width in (2, 3) for number in range(10**width))
    yield from (spaced + capital + " " + digits for _ in range(often))


def spellings(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """The text of every token by its id; bytes that are no text by themselves keep the tokenizer's own sign."""
    signs = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    texts = (tokenizer.decode([id_]) for id_ in range(len(tokenizer)))
    return [sign if "\ufffd" in text else text for sign, text in zip(signs, texts, strict=True)]
