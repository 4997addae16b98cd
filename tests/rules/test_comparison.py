from hypothesis import given
from hypothesis import strategies as st

from cancellations.rules.comparison import compare_figures, compare_texts

BEFORE = """## 1. Notice

A request counts if we have it **fourteen** days before that date.

Nobody can keep you.

## 2. Contact

Write to us."""
AFTER = """## 1. Notice period

A request counts if we have it **ten** days before that date, in your own time zone.

## 2. Contact

Write to us.

A person answers."""


def told(blocks, kind):
    return [piece.text.strip() for block in blocks for piece in block.pieces if piece.kind == kind]


def test_words_added_and_removed():
    blocks = compare_texts(BEFORE, AFTER)
    assert told(blocks, "removed") == ["fourteen", "date.", "Nobody can keep you."]
    assert told(blocks, "added") == ["period", "ten", "date, in your own time zone.", "A person answers."]
    assert [block.is_heading for block in blocks] == [True, False, False, True, False, False]
    assert [block.changed for block in blocks] == [True, True, True, False, False, True]


def test_figures_in_the_order_of_the_first_with_what_one_side_lacks():
    figures = compare_figures({"Notice": "14 days", "Old": "1"}, {"Notice": "10 days", "New": "2"})
    assert [(one.name, one.before, one.after, one.changed) for one in figures] == [
        ("Notice", "14 days", "10 days", True),
        ("Old", "1", "", True),
        ("New", "", "2", True),
    ]


texts = st.lists(st.lists(st.sampled_from(["we", "you", "ten", "days", "end"]), min_size=1), max_size=6).map(
    lambda paragraphs: "\n\n".join(" ".join(words) for words in paragraphs)
)


@given(texts, texts)
def test_without_what_was_added_the_old_text_stands_and_the_other_way_round(before, after):
    blocks = compare_texts(before, after)

    def rebuilt(without):
        kept = ("".join(piece.text for piece in block.pieces if piece.kind != without) for block in blocks)
        return [" ".join(paragraph.split()) for paragraph in kept if paragraph.strip()]

    assert rebuilt("added") == [part for part in before.split("\n\n") if part]
    assert rebuilt("removed") == [part for part in after.split("\n\n") if part]


@given(texts)
def test_a_text_does_not_differ_from_itself(text):
    assert not any(block.changed for block in compare_texts(text, text))
