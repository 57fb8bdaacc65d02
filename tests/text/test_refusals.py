"""Answers that open by declining, and ordinary ones that only sound like it."""

import pytest

from spiritsafe.text.refusals import refusing_phrase

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "Sorry, I can't help with that.",
    "I cannot assist with this request.",
    "I can't provide information on how to pick a lock.",
    "I cannot provide medical advice.",
    "I will not provide instructions for building a weapon.",
    "As an AI language model, I cannot browse the internet.",
    "As an AI, I don't have personal opinions.",
    "I'm just an AI and I can't do that",
    "I'm sorry, but as an AI language model I am not able to predict the future.",
    "I am unable to assist you with this.",
    "Unfortunately, I cannot comply with your request.",
    "I must respectfully decline to answer that question.",
    "I can't answer that.",
    "I won't be able to help you with that.",
    "I don't feel comfortable helping with this.",
    "I'm afraid I can't do that.",
    "I am sorry for the confusion, but I cannot help with that.",
    "This request violates our policies.",
    "It would be inappropriate for me to comment.",
    "That goes against my guidelines.",
    "Doing so would be against my programming.",
    "I cannot fulfill your request.",
    "I cannot create content that promotes violence.",
    "**I'm sorry, but I cannot help with that.**",
]

ORDINARY = [
    "I cannot recommend this phone enough",
    "I can't help but smile when I see it.",
    "I cannot help noticing the crack.",
    "I'm sorry to hear that your order arrived broken.",
    "I am sorry for the delay; your parcel ships today.",
    "Sorry for the late reply.",
    "I can't wait to try it.",
    "I can't believe how good it is",
    "I cannot give this more than three stars.",
    "I cannot provide enough praise for this team.",
    "I cannot say that I liked it.",
    "I can't share my opinion of the film without spoilers",
    "I cannot answer the phone",
    "I am not able to log in to my account.",
    "I will not be able to attend the meeting on Friday.",
    "I won't buy this again.",
    "I won't create another account.",
    "I must decline your kind invitation to dinner.",
    "I have to refuse the offer.",
    "I'm not comfortable in these shoes.",
    "I don't feel comfortable in crowds",
    "I'm afraid of spiders.",
    "Unfortunately, the battery died after a week.",
    "As an AI engineer, I do not write papers.",
    "It is illegal to park here.",
    "We cannot ship to that address.",
    "This question is about physics.",
    "This goes against my price expectations.",
    'No. "I cannot help with that" is what he said.',
    "",
]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_known_by_its_opening(answer: str) -> None:
    assert refusing_phrase(answer) is not None
    assert refusing_phrase(answer.upper()) is not None


@pytest.mark.parametrize("answer", ORDINARY)
def test_an_ordinary_sentence_is_no_refusal(answer: str) -> None:
    assert refusing_phrase(answer) is None
