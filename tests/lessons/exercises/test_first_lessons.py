"""What learners of lessons 00 and 01 wrote, and what the lesson's exercises have to say to it."""

from labkit.lessons import exercises
from tests.rows import every

FIRST = exercises.lesson("00")


def test_the_function_is_tried_with_a_tokenizer_like_the_lessons_own(pair):
    """A learner may use the tokenizer of the cell above, and anything that it can do."""
    outer = pair[1]
    answer = FIRST.tokens_per_word.check(lambda text, _: len(outer(text).input_ids) / len(text.split()))
    assert answer.status == "correct"
    given = []
    FIRST.tokens_per_word.check(lambda text, tokenizer: given.append(tokenizer) or 1.0)
    assert type(given[0]) is type(outer) and given[0].get_vocab() == outer.get_vocab()


@every([lambda right: round(right, 2), lambda right: round(right, 1), lambda right: f"{right:.2f}"])
def test_a_verdict_never_asks_for_the_number_that_was_given(rounded, pair):
    def answer(text, tokenizer):
        return rounded(len(tokenizer(text)["input_ids"]) / len(text.split()))

    outcome = FIRST.tokens_per_word.check(answer)
    assert outcome.status == "correct" or "should be a number" in outcome.message, outcome
