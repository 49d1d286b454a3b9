"""Folders that are meant as the sides of a split, and are not called so: they would be classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from pathlib import Path

SIDES = {  # what a folder or a column says -> the side
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_MORE = {"trainval": "train", "dev": "val", "eval": "test", "evaluation": "test"}
# what is written behind: test_set, trainingdata
_OF_A_SIDE = r"(?:sets?|data|splits?|parts?|folders?|videos?|clips|images?)"
_ANY_SIDE = re.compile(rf"({'|'.join(sorted({*SIDES, *_MORE}, reverse=True))}){_OF_A_SIDE}?")


def meant_as_sides(
    folder: Path, inner: Mapping[str, Set[str]], *, calls: str = ""
) -> tuple[str, bool]:
    """Return a sentence on folders that would be classes and look like sides; "": none do.

    Names alone do not do: a train is a class of vehicles, rest a class of actions. So two sides
    must be there. A name with a slip (trian), or with other words, counts if it holds class folders
    that another side holds too.

    Args:
        folder: in which they lie.
        inner: name of each folder with clips -> names of the folders with clips in it; none where
            clips lie in it directly.
        calls: what the sides must be called; "": as those that were found.

    Returns:
        The sentence, and whether it leaves no doubt: all folders are such, and hold class folders.
    """
    like = {name: side for name in inner if (side := _side(name))}

    def counts(name: str) -> bool:
        side, sure = like[name]
        others = [inner[other] for other, (its, _) in like.items() if its != side]
        own = inner[name]
        return sure or any(own and (own == other or len(own & other) > 1) for other in others)

    meant = sorted(name for name in like if counts(name))
    sides = {like[name][0] for name in meant}
    nested, all_are = any(inner[name] for name in meant), len(meant) == len(inner)
    if len(sides) < 2 or not (nested or all_are):
        return "", False
    calls = calls or " and ".join(side for side in ("train", "val", "test") if side in sides)
    sentence = (
        f"{folder} holds the folders {', '.join(meant)}, which look like the sides of a split, and "
        f"called so they are classes: if they are sides, call them {calls} and let the class "
        "folders lie inside; if they are classes, call them otherwise"
    )
    return sentence, nested and all_are


def _side(name: str) -> tuple[str, bool] | None:
    """Return the side that a name looks like, and whether it is its name and no slip of it."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()
    words = [w for w in re.findall(r"[a-z]+", apart) if not re.fullmatch(_OF_A_SIDE, w)]
    sides = [side for word in words if (side := _of_word(word))]
    found = set(sides)
    if found == {"train", "val"}:  # trainval, train_val
        found = {"train"}
    if found:
        return (found.pop(), len(sides) == len(words)) if len(found) == 1 else None
    if len(words) == 1:
        return next(((SIDES[word], False) for word in SIDES if _slip(words[0], word)), None)
    return None


def _of_word(word: str) -> str | None:
    match = _ANY_SIDE.fullmatch(word)
    return (SIDES | _MORE)[match[1]] if match else None


def _slip(word: str, meant: str) -> bool:
    """Tell whether one slip of the fingers makes a word of another.

    Of short words only what makes no other word of them: rest and vest are no tests.
    """
    if len(word) == len(meant):
        other = [i for i in range(len(word)) if word[i] != meant[i]]
        if len(other) == 2 and other[1] == other[0] + 1:
            return word[other[0]] == meant[other[1]] and word[other[1]] == meant[other[0]]
        return len(other) == 1 and len(meant) > 4
    longer, shorter = (word, meant) if len(word) > len(meant) else (meant, word)
    if len(meant) <= 4 and longer is meant:
        return False
    return any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer)))
