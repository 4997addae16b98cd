"""A mail's template is laid out like code, and its text is not."""

import pytest
from django.template import engines

from messaging.outbound import rendering

TEMPLATE = """
{% if at_once %}
  Subject: It ends at once
{% else %}
  Subject: It ends on {{ effective }}
{% endif %}

We accepted it.
{% if at_once %}
  It ends at once.
{% else %}
  It ends on **{{ effective }}**.
{% endif %}
Follow it:
<{{ page_url }}>
{% for plan in plans %}
  - {{ plan }}
    continues
{% endfor %}

{% if quoted %}
  {% for line in quoted %}
    > {{ line }}
  {% endfor %}
{% endif %}

| A | B |
|---|---|
| 1 | 2 |

{{ words }}
1. First
2. Second
"""


@pytest.fixture
def mail(monkeypatch):
    monkeypatch.setattr(rendering, "select_template", lambda names: engines["django"].from_string(TEMPLATE))
    values = {"effective": "1 May", "page_url": "https://us.example/", "plans": ["Team", "Old"]}

    def render(**changed):
        return rendering.render("any", values | changed)

    return render


def test_lines_of_tags_vanish_and_lines_of_a_paragraph_are_joined(mail):
    rendered = mail(quoted=["Hello", "", "Bye"])
    assert rendered.subject == "It ends on 1 May"
    assert rendered.text == (
        "We accepted it. It ends on **1 May**. Follow it: <https://us.example/>\n- Team continues\n- Old continues\n\n"
        "> Hello\n> \n> Bye\n\n| A | B |\n|---|---|\n| 1 | 2 |\n\n1. First\n2. Second\n"
    )
    assert "<p>We accepted it. It ends on <strong>1 May</strong>. Follow it: <a" in rendered.html


def test_the_other_branch_leaves_no_empty_line(mail):
    rendered = mail(at_once=True, plans=[])
    assert rendered.subject == "It ends at once"
    assert rendered.text.startswith("We accepted it. It ends at once. Follow it: <https://us.example/>\n\n| A")


def test_the_lines_of_a_value_stay_as_they_are(mail):
    words = "One\n  two\n\n- three\n{% if x %}\nfour"
    assert words in mail(words=words).text
    assert "One<br>" in mail(words=words).html
