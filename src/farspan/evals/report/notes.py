"""What a reader must know to read the figures, in the words of the report."""

from __future__ import annotations

from farspan.evals.effective import BAR, LEAST_BASE, OWN_SHARE

BARS = (
    f"Up to which length every score is at least {100 * BAR:.1f} / at least {OWN_SHARE} of the method's own at its "
    "shortest length."
)
NOTES = (
    (
        "What was measured",
        "Every method answered the same questions on the same contexts. A context was read before its questions were "
        "known, so nothing could be kept or dropped to suit them. A length includes the template, the question and the "
        "answer; native stands for files that are taken as long as they are. Scores run from 0 to 100.",
    ),
    (
        "Intervals",
        "Brackets and bars are 95% intervals. Questions on one context rise and fall together, so a cell counts as "
        "fewer questions than it has: their number divided by the design effect. Two intervals that overlap do not "
        "show that two methods are alike; the comparison on the same questions does.",
    ),
    (
        "Against full attention",
        "Differences are over the questions that both answered; their intervals draw whole contexts again, always with "
        "the same seed, and are too narrow below ten contexts. p is that of a sign-flip test over contexts (McNemar's "
        "exact test where there is one question on each), corrected for the number of rows (Holm). A row is marked "
        "better or worse where its interval agrees. Detectable is the smallest true difference that would be found in "
        "four of five such runs.",
    ),
    (
        "Effective length",
        f"The longest length up to which every score is at least {100 * BAR:.1f} (RULER's bar), then the same for "
        f"{OWN_SHARE} of the method's own score at its shortest length (NoLiMa's). >= marks the longest length "
        f"that was measured. Below a score of {100 * LEAST_BASE:.0f} at the shortest length it is n/a: what a model "
        "cannot do at all says nothing about the method.",
    ),
    (
        "Failed, unreadable, cut off",
        "A question that failed has no score, and counts nowhere as 0. An unreadable reply held nothing that could be "
        "scored, and one that was cut off reached its longest length; both are scored as they are.",
    ),
    (
        "Means over tasks",
        "A mean is taken over the tasks that every method answered at that length, each with the same weight.",
    ),
)
