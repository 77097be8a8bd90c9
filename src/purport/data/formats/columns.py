"""Which columns of a table hold the texts and the labels: by name, or by names that are well known."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import DataError, did_you_mean

DEFAULT_TEXT_COLUMN, DEFAULT_LABEL_COLUMN = "text", "label"

# Names that people and tools give to these columns, compared without case, spaces, "_" and "-".
_TEXTS = """
text texts utterance utterances utt message messages msg query queries question questions sentence sentences phrase
phrases example examples input inputs prompt content body request usertext usermessage userinput userutterance
customermessage nachricht anfrage frage satz äußerung äusserung eingabe texte énoncé enonce requête requete texto
mensaje frase consulta pregunta mensagem pergunta testo messaggio domanda tekst bericht vraag wiadomość pytanie zpráva
dotaz metin mesaj cümle soru vănbản câu câuhỏi tinnhắn текст сообщение запрос вопрос фраза повідомлення κείμενο μήνυμα
ερώτηση نص رسالة سؤال טקסט הודעה שאלה पाठ वाक्य संदेश प्रश्न ข้อความ คำถาม 文本 文字 句子 消息 问题 問題 訊息 テキスト
文章 発話 質問 텍스트 문장 발화 질문
""".split()  # noqa: SIM905
_LABELS = """
label labels intent intents intention intentions class classes category categories tag tags target targets topic
topics intentname labelname classname categoryname goldlabel truelabel annotation absicht kategorie klasse etikett
étiquette etiquette intención intencion etiqueta categoría categoria clase intenção intencao classe intento etichetta
intentie categorie etykieta intencja kategoria štítek niyet etiket kategori sınıf nhãn ýđịnh метка интент намерение
категория класс мітка намір ετικέτα πρόθεση κατηγορία تصنيف فئة نية קטגוריה כוונה תווית लेबल श्रेणी इरादा ป้ายกำกับ
หมวดหมู่ เจตนา 标签 標籤 意图 意圖 类别 類別 ラベル 意図 インテント カテゴリ 레이블 라벨 의도 카테고리
""".split()  # noqa: SIM905


def _plain(name: str) -> str:
    return "".join(letter for letter in name.strip().strip("\"'").casefold() if letter not in " _-\t")


_KNOWN = {"text": frozenset(map(_plain, _TEXTS)), "label": frozenset(map(_plain, _LABELS))}


def is_header(text: str, labels: Sequence[str]) -> bool:
    """Whether a row has well-known names of columns for its text and its only label."""
    return _plain(text) in _KNOWN["text"] and len(labels) == 1 and _plain(labels[0]) in _KNOWN["label"]


def is_usual(name: str, role: str) -> bool:
    """Whether ``name`` is a well-known one for the column of ``role``."""
    return _plain(name) in _KNOWN[role]


def find_column(wanted: str, names: Sequence[str], *, role: str) -> str | None:
    """The one of ``names`` that is meant by ``wanted``; ``role`` is ``text`` or ``label``.

    An equal name is best, then one that is equal without case and surrounding blanks. If ``wanted`` is the default for
    its role, a well-known name of that role will do (``utterance``, ``Intent``, ``Nachricht``, …).

    Raises:
        DataError: several columns could be meant.
    """
    for same in (str, str.strip, lambda name: name.strip().casefold()):
        if fit := [name for name in names if same(name) == same(wanted)]:
            return _only(fit, role)
    if wanted != {"text": DEFAULT_TEXT_COLUMN, "label": DEFAULT_LABEL_COLUMN}[role]:
        return None
    known = [name for name in names if is_usual(name, role)]
    return _only(known, role) if known else None


def _only(names: Sequence[str], role: str) -> str:
    if len(names) > 1:
        raise DataError(
            f"several columns could be the {role}: {', '.join(names)}; name one with {option(role)} "
            f"({role}_column in a recipe), after renaming it if two have the same name"
        )
    return names[0]


def option(role: str) -> str:
    """The command-line option that names the column of ``role``."""
    return f"--{role}-column"


def no_column(wanted: str, names: Sequence[str], *, role: str) -> str:
    """The message for a column that is not there."""
    near = did_you_mean(wanted, names)
    remedy = f"name the {role} column with {option(role)} ({role}_column in a recipe)"
    hint = near if near.startswith(" Did") else ""
    return f'no column "{wanted}"; the columns are {", ".join(names)}; {remedy}.{hint}'
