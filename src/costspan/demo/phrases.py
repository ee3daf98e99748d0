"""What people of the demo talk about: topics, sentences with gaps, and what fills them. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ANSWERS", "FILLERS", "GUIDE", "QUESTIONS", "STATEMENTS", "TOPICS", "Topic"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A subject and the things that come up with it."""

    subject: str
    things: tuple[str, ...]


TOPICS = (
    Topic(
        "the move to the new office", ("the lease", "the meeting rooms", "the network cabling", "the parking permits")
    ),
    Topic("the spring product launch", ("the press kit", "the pricing page", "the demo video", "the partner mailing")),
    Topic("the hiring plan", ("the interview loop", "the salary bands", "the referral bonus", "the start dates")),
    Topic(
        "the data warehouse", ("the nightly load", "the customer table", "the access reviews", "the retention rules")
    ),
    Topic(
        "the support backlog", ("the refund requests", "the login failures", "the escalations", "the weekend shifts")
    ),
    Topic("the annual conference", ("the keynote", "the travel budget", "the workshop rooms", "the catering order")),
)
FILLERS: Mapping[str, tuple[str, ...]] = {
    "who": ("Amara", "Jonas", "Priya", "Mateo", "Ingrid", "Kenji", "Lucia", "Tomasz"),
    "when": ("on Monday", "before Friday", "next week", "by the end of the month", "after the holidays", "tomorrow"),
    "number": ("three", "four", "six", "eight", "a dozen", "about twenty"),
}
STATEMENTS = (
    "We should settle {thing} {when}, because {who} needs an answer before anything else can start.",
    "{who} told me that {thing} will take {number} days longer than we thought at the beginning.",
    "I would like to keep {thing} as simple as possible and come back to the details {when}.",
    "There are still {number} open points about {thing}, and I do not know who decides them.",
    "Last time we agreed that {who} looks after {thing}, and I want to keep it that way.",
    "My main worry with {subject} is {thing}; everything else seems to be on a good way.",
    "Could you note that {thing} was moved, and that {who} has to confirm it {when}?",
    "For {subject} the budget was cut, so {thing} has to get by with {number} people.",
)
ANSWERS = (
    "I have noted that {who} decides about {thing} and that you expect an answer {when}.",
    "That leaves {number} open points for {subject}, of which {thing} is the most urgent one.",
    "If {thing} slips again, the plan for {subject} has to be changed, so I would ask {who} {when}.",
    "Earlier you said that {thing} should stay simple; the latest proposal from {who} fits that.",
    "I would split {thing} into {number} smaller steps, and begin with the one that {who} is waiting for.",
    "So far nobody has objected to {thing}, but {who} has not seen the newest version yet.",
    "I can remind you of {thing} {when}, together with the notes that {who} has sent.",
    "To sum up: {thing} is agreed, {who} was told, and {subject} goes on as planned.",
)
#: Asked again and again, in the same words: this is what the embedding cache is for.
QUESTIONS = (
    "What did we decide about {thing}?",
    "Who looks after {thing}?",
    "What is still open for {subject}?",
)
_RULES = (
    "Keep every name of a person together with the task that was given to that person, in the words that were used.",
    "Keep every date and every deadline, and say to which decision it belongs; never turn a date into a relative one.",
    "Leave out greetings, thanks, jokes and everything that was said twice, unless the second time changed something.",
    "Where two statements contradict each other, keep the later one and say that the earlier one was withdrawn.",
    "Write numbers, amounts and quantities exactly as they were given, with their units, and never round them.",
    "Mark what was only proposed as proposed, and what was agreed as agreed; do not guess where it is not clear.",
    "Use short sentences in the past tense, in the third person, without headings, bullet points or quotations.",
)
_AREAS = ("finance", "staff", "customers", "suppliers", "buildings", "software", "security", "travel")
#: A tenant's own rules for compression: long enough (over 2,048 tokens) that Claude Haiku caches it.
GUIDE = "\n".join(
    f"Rule {area_number}.{rule_number}, for conversations about {area}: {rule}"
    for area_number, area in enumerate(_AREAS, start=1)
    for rule_number, rule in enumerate(_RULES, start=1)
)
