"""Answers given to the model to be graded, and ordinary scores and comparisons."""

import pytest
from tests.guard.detectors.examples import asked, last_sign

from spiritsafe.guard.detectors.request_grading import GRADING, graded

SCORED = [
    "Rate the following answer on a scale from 1 to 10. Answer: 42",
    "Between 0 and 5, score this response for helpfulness.",
    "Use the rubric to assess the essay.",
    "You are an impartial judge. Here is what the assistant said.",
    "Evaluate the solution. End with: Score: [0-100]",
    "Grading criteria: correctness, style. Student's response: ...",
    "Verdict: PASS or FAIL",
]
COMPARED = [
    "Which response is better?",
    "Which of the two answers do you prefer?",
    "Response A: yes. Response B: no. Choose the winner.",
    "Assistant 1 said x. Assistant 2 said y. Who is better?",
    "Reply with [[A]], [[B]] or [[C]].",
    "Rank the candidate answers by quality.",
]
ORDINARY = [
    "",
    "Rate of change of x from 1 to 10?",
    "I would rate this hotel 4 out of 5. What did I like?",
    "Which of these phones is better for photos?",
    "The judge was fair. Summarise the ruling.",
    "Score: 3-1. Who won the match?",
    "What is the answer to question 2?",
    "Choose the best verb for answer 1 of my homework.",
    "Classify the review: great food, slow service.",
    "Translate this summary into German.",
]


@pytest.mark.parametrize("text", SCORED)
def test_scoring_an_answer_is_found(text: str) -> None:
    assert graded(text.lower()) == 0


@pytest.mark.parametrize("text", COMPARED)
def test_comparing_answers_is_found(text: str) -> None:
    assert graded(text.lower()) == 1


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_scores_and_comparisons_are_not(text: str) -> None:
    assert graded(text.lower()) is None


def test_the_rubric_may_stand_in_the_system_prompt() -> None:
    sign = last_sign(GRADING, [asked("The capital of France is Paris.", system="Score each answer from 1 to 10.")])

    assert sign is not None
    assert sign.reasons[0] == "of its 1 exchanges 1 have an answer scored"
