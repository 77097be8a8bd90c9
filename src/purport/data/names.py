"""Label names: which are spellings of one name, and which seem to mean that no label applies."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

_SEPARATORS = re.compile(r"[\s_\-/.()]+")
# Of Latin, Greek and Cyrillic letters: the marks of other scripts, such as the vowel signs of Hindi, tell words apart.
_ACCENTS = re.compile("[\u0300-\u036f]")
_NONE = frozenset(
    ("other", "others", "none", "noneoftheabove", "oos", "ood", "outofscope", "outofdomain", "nointent", "nolabel",
     "nonodes", "unknown", "fallback", "nlufallback", "misc", "miscellaneous", "chitchat", "irrelevant",
     "sonstiges", "sonstige", "andere", "anderes", "keine", "autre", "autres", "aucun", "otro", "otros", "otra",
     "ninguno", "ninguna", "outro", "outros", "nenhum", "altro", "altri", "nessuno", "overig", "overige", "geen",
     "inne", "żaden", "brak", "diğer", "hiçbiri", "прочее", "другое", "иное", "нет", "інше", "άλλο", "khác",
     "lainnya", "muu", "annat", "andet", "أخرى", "غيرذلك", "אחר", "अन्य", "อื่นๆ", "其他", "其它", "无", "無",
     "その他", "기타")
)  # fmt: skip


def means_none(label: str) -> bool:
    """Whether ``label`` is a usual name for messages that no label covers, such as ``NO_NODES`` or ``other``."""
    return _SEPARATORS.sub("", label.casefold()) in _NONE


def twins(counts: Mapping[str, int]) -> dict[str, str]:
    """Labels that are spelt nearly like a more frequent one, each with that one; ``counts`` are rows for each label.

    Names are alike if only case, accents, white space, underscores, hyphens or Unicode normalisation tell them apart.
    """
    alike: dict[str, list[str]] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        alike.setdefault(re.sub(r"[-_]", "", _plain(label).replace(" ", "")), []).append(label)
    return {label: names[0] for names in alike.values() for label in names[1:]}


def same_but_for_case_accents_and_spaces(left: str, right: str) -> bool:
    """Whether case, accents and the amount of white space are all that tells two names apart."""
    return _plain(left) == _plain(right)


def _plain(label: str) -> str:
    return " ".join(_ACCENTS.sub("", unicodedata.normalize("NFKD", label).casefold()).split())


def renamed(labels: Iterable[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """``labels``, each replaced by its name in ``names``, if it has one."""
    return tuple(sorted({names.get(label, label) for label in labels}))
