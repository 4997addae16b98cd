"""Each mail, in each language, as text and HTML, with each of its branches; and as staff see it."""

import re
from itertools import product

import lxml.html
import pytest

from cancellations.letters.samples import FOLDER, LANGUAGES, SAMPLE, kinds, sample
from tests import cast

EACH = [(kind, language) for language in LANGUAGES for kind in kinds(language)]
LOOPS = re.compile(r"{% for (\w+) in")
FRAME = "/admin/messaging/outgoingmessage/templates/{}/{}/"


def named(kind, language):
    """The names that the template reads from outside."""
    source = (FOLDER / language / f"{kind}.md").read_text()
    told = re.findall(r"{{ ?([a-z_]+)", source) + re.findall(r"{% for \w+ in ([a-z_]+)", source)
    tests = [re.sub('"[^"]*"', "", test) for test in re.findall(r"{% (?:el)?if ([^%]+) %}", source)]
    told += [word for test in tests for word in re.findall(r"[a-z_]+", test)]
    inner = {*LOOPS.findall(source), "forloop", "and", "or", "not", "in"}
    return set(told) - inner - {"brand", "support_email", "site_url"}


@pytest.mark.parametrize(("kind", "language"), EACH)
def test_a_mail_is_whole_in_text_and_html(kind, language):
    assert named(kind, language) <= set(SAMPLE) | {"last"}
    mail = sample(kind, language)
    assert 3 < len(mail.subject) <= 250
    for part in (mail.subject, mail.text, mail.html):
        assert "{{" not in part
        assert "{%" not in part
    assert mail.html.count("<html") == 1
    assert f'<html lang="{language}"' in mail.html
    assert "<img" not in mail.html  # nothing that tells who opened it


@pytest.mark.parametrize(("kind", "language"), EACH)
def test_a_mail_reads_well_whatever_is_known(kind, language):
    """With everything and with nothing; no line is left half said."""
    flags = sorted(name for name in named(kind, language) if isinstance(SAMPLE.get(name), bool))
    for values in product([True, False], repeat=min(len(flags), 4)):
        changed = dict(zip(flags, values, strict=False))
        empty = dict.fromkeys(("name", "words", "reason", "requested_end", "refund_due", "username", "reference"), "")
        for more in ({}, empty):
            mail = sample(kind, language, **changed, **more)
            assert mail.subject.strip()
            assert "\n\n\n" not in mail.text


def as_words(mail):
    """The words of the text part and of the HTML part, without its frame."""
    text = re.sub(r"\W+", " ", mail.text).split()
    body = lxml.html.fromstring(mail.html).xpath(
        "//body/div/p[1]/following-sibling::*[not(contains(@style, 'border-top'))]"
    )
    return text, re.sub(r"\W+", " ", " ".join(element.text_content() for element in body)).split()


def compared_values(kind, language):
    """The texts that the template compares values with, by name of the value."""
    source = (FOLDER / language / f"{kind}.md").read_text()
    by_name = {}
    for name, text in re.findall(r'(\w+) [!=]= "([^"]*)"', source):
        by_name.setdefault(name, {"something else"}).add(text)
    return by_name


HOSTILE = "  _a_ **b** [c](d) <e> &amp; 1. f\n- g\n\n\n===\n\t# h\n| i | `j` \\k\u202el  "


@pytest.mark.parametrize(("kind", "language"), EACH)
def test_text_and_html_say_the_same_whatever_the_values(kind, language):
    compared = compared_values(kind, language)
    for values in product(*compared.values()):
        changed = dict(zip(compared, values, strict=True))
        for flag in (True, False):
            flags = {name: flag for name in named(kind, language) if isinstance(SAMPLE.get(name), bool)}
            for text in (None, "", HOSTILE):
                typed = {name: text for name in named(kind, language) if text is not None and is_text(name)}
                both = as_words(sample(kind, language, **(typed | flags | changed)))
                assert both[0] == both[1]


def is_text(name):
    return isinstance(SAMPLE.get(name), str) and not name.endswith("_url")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["cooling_off", "for_cause", "ordinary"])
def test_both_parts_name_the_kind_of_cancellation(kind, language):
    others = {"cooling_off", "for_cause", "ordinary"} - {kind}
    for letter, name in (("kind_changed", "kind"), ("prove_address", "kind_declared")):
        mail = sample(letter, language, **{name: kind})
        for other in others:
            changed = sample(letter, language, **{name: other})
            assert changed.text != mail.text
            assert changed.html != mail.html


def test_a_name_with_an_ampersand_stands_in_mail_as_it_is(settings):
    settings.BRAND_NAME = "Bits & Bobs"
    mail = sample("follow_link", "en", reference="A & B")
    assert "A & B" in mail.subject + mail.text
    assert "&amp;" not in mail.subject + mail.text


@pytest.mark.django_db
class TestAtTheDesk:
    def test_staff_see_each_as_it_looks(self):
        desk = cast.at_desk(cast.staff("support"))
        for kind, language in EACH:
            page = desk.get("/admin/messaging/outgoingmessage/templates/", {"kind": kind, "language": language})
            assert page.status_code == 200
        odd = desk.get("/admin/messaging/outgoingmessage/templates/", {"kind": "../../x", "language": "xx"})
        assert odd.status_code == 200
        assert '<iframe class="desk-frame" sandbox' in " ".join(odd.content.decode().split())

    @pytest.mark.parametrize(("kind", "language"), EACH)
    def test_its_html_stands_in_a_frame_that_may_do_nothing(self, kind, language):
        frame = cast.at_desk(cast.staff("support")).get(FRAME.format(kind, language))
        assert frame.content.decode().lstrip().startswith("<!doctype html")
        assert frame["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert "frame-ancestors 'self'" in frame["Content-Security-Policy"]

    def test_a_frame_of_no_mail_is_not_found(self):
        desk = cast.at_desk(cast.staff("support"))
        assert desk.get(FRAME.format("nothing", "en")).status_code == 404
        assert desk.get(FRAME.format("received", "xx")).status_code == 404

    def test_nobody_else_does(self, client):
        assert client.get("/admin/messaging/outgoingmessage/templates/").status_code == 302
        assert client.get(FRAME.format("received", "en")).status_code == 302
