"""The words that the synthetic tasks are made of; the bundled tokenizer holds each as one token."""

from __future__ import annotations

import random
import uuid

ADJECTIVES = tuple(
    "amber ancient autumn bitter black blue bold brave bright broad broken bronze brown busy calm careful "
    "clean clear clever cold common copper crimson curious dark deep distant dry dull eager early eastern "
    "empty faint fair famous fast final fine flat foreign free fresh frozen gentle giant golden grand green "
    "grey happy hard heavy hidden high hollow honest huge humble hungry idle inner iron ivory jolly keen kind "
    "large late lazy light little lonely long loud low lucky marble mighty mild modern narrow neat noble "
    "northern odd old open orange outer pale patient plain polite poor pretty proud purple quick quiet rapid "
    "rare red rich rough round royal rusty sad scarlet secret shallow sharp short silent silver simple slow "
    "small smooth soft solid southern steep still strange strong sunny sweet swift tall tame thick thin tiny "
    "upper vast violet warm weak western white wide wild windy wise wooden yellow young".split()
)
NOUNS = tuple(
    "anchor apple arrow badge bakery barn basin basket beach bell bench boat book bottle bowl bridge brook "
    "bucket button cabin candle canyon castle cave chair chapel circle clock cloud coast coin cottage crown "
    "desert desk door dragon drum eagle engine farm feather fence field flag flower forest fountain garden "
    "gate glacier glass glove grove hammer harbor hat hill horse hotel house island jacket jar kettle key "
    "kitchen knife ladder lake lamp lantern letter library lion lock market meadow mill mirror mountain "
    "museum needle nest ocean orchard oven owl paint palace paper parrot path pencil piano pillar pillow "
    "planet plate pocket pond portrait prison quarry rabbit ribbon ring river road rock roof rope rose saddle "
    "sail school shadow shelf shield ship shoe shop spoon spring square stable stage station statue stone "
    "storm street table teapot temple tent theater tiger tower train tree tunnel valley vase village violin "
    "wagon wall watch well wheel window wing winter wolf yard".split()
)
FIRST_NAMES = tuple(
    "Ada Agnes Albert Alice Anton Arthur Bella Bruno Carl Clara Conrad Cora Daniel Dora Edgar Edith Elias "
    "Ella Emil Erik Esther Felix Flora Frank Freda George Greta Hanna Harold Hector Helen Henry Hugo Ida "
    "Irene Isaac Ivan Jasper Jonas Julia Karl Laura Leo Lena Lucas Mara Martin Maud Miles Nadia Nora Olga "
    "Oscar Otto Paul Petra Ralph Rosa Ruth Samuel Sarah Simon Stella Thomas Ursula Victor Walter Wanda".split()
)
LAST_NAMES = tuple(
    "Abbott Adler Archer Baker Barlow Becker Bennett Bishop Brandt Carver Clifton Colby Cooper Curtis Dalton "
    "Dawson Draper Ellis Farrow Fisher Fletcher Foster Gardner Gibson Graves Hadley Hale Harper Hayes Holt "
    "Hunter Jensen Keller Kemp Lambert Lang Marsh Mason Mercer Miller Moran Nash Norris Osborne Palmer Parker "
    "Pearce Porter Quinn Ramsey Reed Rhodes Sawyer Shaw Sloan Stark Sutton Thorne Turner Vance Wagner Walsh "
    "Webb Weaver Winter York".split()
)
TOWNS = tuple(
    "Alden Arbury Ashford Barrow Belmont Brighton Calder Camden Corby Crewe Dover Dunmore Eastbury Elgin "
    "Exeter Fairview Felton Glenmoor Granton Halstead Harwick Hilton Ilford Kenmore Kirkby Langdon Lowell "
    "Ludlow Malton Milford Newbury Norwood Oakham Oxley Penrith Preston Radford Redhill Ripley Rugby Salford "
    "Selby Stanton Sutter Tilbury Upton Verona Walden Wexford Whitby".split()
)
TRADES = tuple(
    "baker barber brewer builder butcher carpenter chemist clerk cobbler cook dentist doctor driver farmer "
    "fiddler fisherman gardener glazier goldsmith grocer hatter hunter judge lawyer librarian locksmith mason "
    "merchant miller miner nurse painter pilot plumber poet porter potter printer sailor saddler shepherd "
    "singer smith soldier surgeon surveyor tailor tanner teacher weaver".split()
)


def key(rng: random.Random) -> str:
    """A two-word key: an adjective and a noun."""
    return f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"


def keys(rng: random.Random, amount: int) -> list[str]:
    """`amount` distinct two-word keys, many of which share a word; of three words where there are not enough of two."""
    return _joined(rng, amount, ADJECTIVES, NOUNS)


def look_alikes(rng: random.Random, amount: int) -> list[str]:
    """`amount` distinct keys where each shares a word with others: drawn from a small grid of words."""
    side = 2
    while side * side < 2 * amount:
        side += 1
    first, second = rng.sample(ADJECTIVES, side), rng.sample(NOUNS, side)
    grid = [f"{one} {two}" for one in first for two in second]
    return rng.sample(grid, amount)


def numbers(rng: random.Random, amount: int, digits: int = 5) -> list[str]:
    """`amount` distinct numbers of so many digits, of two more where that leaves less than half of them free."""
    while 2 * amount > 9 * 10 ** (digits - 1):
        digits += 2
    return [str(value) for value in rng.sample(range(10 ** (digits - 1), 10**digits), amount)]


def uuids(rng: random.Random, amount: int) -> list[str]:
    """`amount` distinct UUIDs of 128 random bits each, as Needle Threading draws them."""
    drawn: dict[str, None] = {}
    while len(drawn) < amount:
        drawn[str(uuid.UUID(int=rng.getrandbits(128)))] = None
    return list(drawn)


def people(rng: random.Random, amount: int) -> list[str]:
    """`amount` distinct names of two words; of three where there are not enough of two."""
    return _joined(rng, amount, FIRST_NAMES, LAST_NAMES)


def _joined(rng: random.Random, amount: int, first: tuple[str, ...], second: tuple[str, ...]) -> list[str]:
    """Distinct pairs of words, or triples with two of `first` where there are not enough pairs."""
    pairs = len(first) * len(second)
    many = pairs if amount <= pairs else len(first) * pairs
    drawn = [(i // pairs, i % pairs // len(second), i % len(second)) for i in rng.sample(range(many), amount)]
    if amount <= pairs:
        return [f"{first[one]} {second[two]}" for _, one, two in drawn]
    return [f"{first[more]} {first[one]} {second[two]}" for more, one, two in drawn]


def nonsense(rng: random.Random, amount: int, syllables: int = 3) -> list[str]:
    """`amount` distinct words that mean nothing but can be said, such as `tavoki`."""
    drawn: dict[str, None] = {}
    while len(drawn) < amount:
        drawn["".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(syllables))] = None
    return list(drawn)
