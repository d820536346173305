"""The rubric of the ML Test Score: 28 rows in four sections, and what a score says. `scorecard` and the tests ask.

E. Breck, S. Cai, E. Nielsen, M. Salib, D. Sculley, "The ML Test Score: A Rubric for ML Production Readiness and
Technical Debt Reduction", IEEE Big Data 2017. A row is a point where its test runs by itself again and again, and half
a one where a person runs it and writes down what came of it; a section is the sum of its rows, and the score the least
of the four.
"""

from collections.abc import Mapping

SECTIONS: dict[str, tuple[str, ...]] = {
    "Data": (
        "Feature expectations are captured in a schema",
        "All features are beneficial",
        "No feature's cost is too much",
        "Features adhere to meta-level requirements",
        "The data pipeline has appropriate privacy controls",
        "New features can be added quickly",
        "All input feature code is tested",
    ),
    "Model": (
        "Model specs are reviewed and submitted",
        "Offline and online metrics correlate",
        "All hyperparameters have been tuned",
        "The impact of model staleness is known",
        "A simpler model is not better",
        "Model quality is sufficient on important data slices",
        "The model is tested for considerations of inclusion",
    ),
    "Infra": (
        "Training is reproducible",
        "Model specs are unit tested",
        "The ML pipeline is integration tested",
        "Model quality is validated before serving",
        "The model is debuggable",
        "Models are canaried before serving",
        "Serving models can be rolled back",
    ),
    "Monitoring": (
        "Dependency changes result in notification",
        "Data invariants hold for inputs",
        "Training and serving are not skewed",
        "Models are not too stale",
        "Models are numerically stable",
        "Computing performance has not regressed",
        "Prediction quality has not regressed",
    ),
}
ROWS: dict[str, str] = {
    f"{section} {number}": title for section, titles in SECTIONS.items() for number, title in enumerate(titles, start=1)
}
MARK = "ml_test_score"  # the marker of pytest by which a test names the row that it earns
# a score above -> what it says, in the words of the paper, shortened
SAYS = (
    (5.0, "exceptional levels of automated testing and monitoring"),
    (3.0, "strong levels of automated testing and monitoring, fit for what is critical"),
    (2.0, "reasonably tested, but more of it may be automated"),
    (1.0, "a first pass at basic productionization"),
    (0.0, "not totally untested, but serious holes in reliability are possible"),
)
NOTHING = "more of a research project than a productionized system"


def sums(points: Mapping[str, float]) -> dict[str, float]:
    """The sum of each section, of points by row; a row that is not there has none."""
    return {
        section: sum(points.get(f"{section} {number}", 0.0) for number in range(1, len(titles) + 1))
        for section, titles in SECTIONS.items()
    }


def score(points: Mapping[str, float]) -> float:
    """The least of the four sums."""
    return min(sums(points).values())


def says(total: float) -> str:
    """What the paper says of a score."""
    return next((words for above, words in SAYS if total > above), NOTHING)
