"""The rule for text from people: what is kept, what is not, and how words are shown."""

import json
import sys
import xml.etree.ElementTree as ET

import pytest

from messaging.text import (
    UnkeepableText,
    check_text,
    escape_for_log,
    is_keepable,
    isolate,
    on_one_line,
    remove_direction_marks,
    replace_unkeepable,
    shorten,
    without_links,
)

KEPT = [
    "",
    "\tindented\n\n  lines  ",
    "naïve Æsop – „so“ … €",
    "👩‍👩‍👧‍👦 🏳️‍🌈 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "שלום עולם",
    "السلام عليكم",
    "می‌خواهم",
    "\u200e\u200f\u202aa\u202c\u202eb\u202c\u2066c\u2069",
    "\u2028\u2029\ufeff\u00ad\ue000",
    "\ufffd",
    "𠮷野家",
]
CONTROLS = "\x00\x01\x08\x0b\x0c\x0e\x1b\x1f\x7f\x80\x85\x9f"
NOT_KEPT = f"{CONTROLS}\ud800\udbff\udc00\udfff\ufdd0\ufdef\ufffe\uffff\U0001ffff\U0010fffe"


@pytest.mark.parametrize("words", KEPT)
def test_words_are_kept_as_they_are(words):
    assert check_text(words) == replace_unkeepable(words) == words
    assert is_keepable(words)


@pytest.mark.parametrize("character", NOT_KEPT)
def test_what_cannot_be_held_is_refused_by_name_or_replaced(character):
    assert not is_keepable(f"a{character}b")
    assert replace_unkeepable(f"a{character}b") == "a\ufffdb"
    with pytest.raises(UnkeepableText, match=f"U\\+{ord(character):04X}"):
        check_text(f"a{character}b")


def test_line_ends_are_line_feeds():
    assert check_text("a\r\nb\rc\n\r\nd") == replace_unkeepable("a\r\nb\rc\n\r\nd") == "a\nb\nc\n\nd"
    assert is_keepable("a\r\nb")


def test_all_that_is_kept_can_be_held_by_xml_and_json():
    text = "".join(filter(is_keepable, map(chr, range(sys.maxunicode + 1)))).replace("\r", "")
    element = ET.Element("words")
    element.text = text
    assert ET.fromstring(ET.tostring(element, "utf-8")).text == text
    assert json.loads(json.dumps(text, ensure_ascii=False).encode()) == text


@pytest.mark.parametrize("words", ["", "plain", "Æsop", "a\nb", "日本語"])
def test_words_from_left_to_right_are_shown_as_they_are(words):
    assert isolate(words) == words


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("\u202egnp.exe", "\u2068\u202egnp.exe\u2069"),
        ("שלום", "\u2068שלום\u2069"),
        ("a\n\u202eb\nc", "a\n\u2068\u202eb\u2069\nc"),
        ("a\r\n\u202eb", "a\r\n\u2068\u202eb\u2069"),
        ("\u200fa\u2028\u061cb", "\u2068\u200fa\u2069\u2028\u2068\u061cb\u2069"),
        ("\u2067open", "\u2068\u2067open\u2069\u2069"),
        ("\u2069\u2069\u202eout", "\u2068\u202eout\u2069"),
        ("\u2066a\u2069\u2069b", "\u2068\u2066a\u2069b\u2069"),
    ],
)
def test_direction_marks_turn_only_the_words_themselves(words, shown):
    assert isolate(words) == shown


def test_names_for_machines_have_no_direction_marks():
    assert remove_direction_marks("\u202egnp\u202c.\u2066exe\u2069\u200f") == "gnp.exe"


def test_headers_stay_on_one_line():
    assert on_one_line(" a\r\nBcc: b\x0bc\u2028d\x00\te ") == "a Bcc: b c d\ufffd e"


def test_a_line_of_a_log_cannot_be_ended_or_turned_round():
    assert escape_for_log("/a\n2026 ERROR\x1b[31m\u202e\u2028\x85\ud800é👩‍👧") == (
        "/a\\n2026 ERROR\\x1b[31m\\u202e\\u2028\\x85\\ud800é👩‍👧"
    )


LINKS = [
    "https://bank.example/x", "HTTP://bank", "hxxp://x", "www.bank", "bank.example", "Bank.Example/login?x=1",
    "(bank.example)", "mallory@bank", "mailto:x", "tel:+4912345", "javascript:alert(1)", "bank\u3002example",
    "bank\uff0eexample", "b\u00ad.example", "\u202ebank.example", "xn--bnk-6na.example", "bänk.éxample",
]  # fmt: skip
NO_LINKS = ["12.02.2026", "z.B.", "3.50", "AT-104233", "Nr. 7", "End.", "…", "a:b", "Name:"]


@pytest.mark.parametrize("link", LINKS)
def test_a_word_that_becomes_a_link_is_left_out(link):
    assert without_links(f"before {link}\nafter", "[…]") == "before […] after"


@pytest.mark.parametrize("word", NO_LINKS)
def test_another_word_stays(word):
    assert without_links(word, "[…]") == word


def test_a_shortened_text_says_so():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abc def", 5) == "abc…"
