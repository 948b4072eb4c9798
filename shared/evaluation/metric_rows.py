"""The rows of :data:`shared.evaluation.metrics.METRICS`: one line a metric, grouped by what it is a figure of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, Literal, TypeAlias

Better: TypeAlias = Literal["higher", "lower", "nearer 0"]
Streams: TypeAlias = Literal["yes", "between bounds", "no"]
Row: TypeAlias = tuple[str, str, str, float, float, Better, tuple[str, ...], str, str, Mapping[str, Any], Streams]
Line: TypeAlias = tuple[str, str, float, float, str, str, str]
"""Name, home, least, greatest, what leaves it as it is, what computes it, its source."""

INPUTS = {
    "labels": "the true label of each item, and the predicted one, `None` for an item that failed",
    "ranked labels": "the true label of each item, and labels from best to worst",
    "confidence": "whether each best answer is right, bool (n,), and its probability (n,)",
    "probabilities": "the true class of each item, int (n,), and its probabilities (n, classes)",
    "scores": "whether each item is positive, bool (n,), and its score (n,)",
    "label tables": "which labels each item has, bool (n, labels), and which it was given",
    "label scores": "which labels each item has, bool (n, labels), and the scores (n, labels)",
    "numbers": "true numbers (n,), and predicted ones",
    "groups": "the true group of each item, and the cluster it was given",
    "points": "points (n, d), and the cluster of each",
    "boxes": "`Things` of each image, and `Found` of each image",
    "pixels": "the true class of each pixel, any shape, and the predicted one; `classes=`",
    "pairs": "whether each pair is genuine, bool (n,), and its similarity (n,)",
    "spans": "the true `(start, stop, label)` of each item, and the predicted ones",
    "written text": "one reference an item, and what was written",
    "answers": "the true answers of each question, and the predicted one",
    "no answer": "the no-answer score of each question (n,), and whether it has none, bool (n,)",
    "rankings": "the relevant ids of each user, and ids from best to worst; `k=`",
    "graded rankings": "the gains of each user's ids, and ids from best to worst; `k=`",
    "whole rankings": "the relevant ids of each user, and the ranking of all candidates",
    "lists beyond accuracy": "item codes (n, k) or exposures (items,), then what each function's docstring asks for",
}
"""What metrics of each kind take, in order."""

_SK = "scikit-learn"
_OWN = "triptych"
_COCO = "T.-Y. Lin et al., ECCV 2014, and COCO's reference code"
_GROTHER = "P. Grother and M. Ngan, NISTIR 8009 (2014)"
_SQUAD = "P. Rajpurkar et al., EMNLP 2016 and ACL 2018"
_CONLL = "E. Tjong Kim Sang and F. De Meulder, CoNLL 2003"
_MINING = "G. Tsoumakas et al., Mining multi-label data (2010)"
_V = "A. Rosenberg and J. Hirschberg, EMNLP-CoNLL 2007"
_B3 = "A. Bagga and B. Baldwin, LREC workshop 1998"
_IR = "C. D. Manning et al., Introduction to information retrieval (2008)"
_JARVELIN = "K. Järvelin and J. Kekäläinen, ACM TOIS 20 (2002)"
_GE = "M. Ge et al., RecSys 2010"

_LINES: dict[str, tuple[Line, ...]] = {
    "labels": (
        ("accuracy", "classification:accuracy_score", 0, 1, "names", _OWN, _IR),
        ("balanced_accuracy", "classification:balanced_accuracy_score", 0, 1, "names", _SK,
         "K. H. Brodersen et al., ICPR 2010"),
        ("macro_f1", "classification:macro_f1_score", 0, 1, "names", _OWN, _IR),
        ("kappa", "classification:kappa_score", -1, 1, "names", _SK, "J. Cohen, Educ. Psychol. Meas. 20 (1960)"),
        ("matthews", "classification:matthews_score", -1, 1, "names", _SK,
         "J. Gorodkin, Comput. Biol. Chem. 28 (2004)"),
    ),
    "ranked labels": (
        ("top_k", "classification:top_k_score", 0, 1, "names", _OWN, "O. Russakovsky et al., IJCV 115 (2015)"),
    ),
    "confidence": (
        ("ece", "classification:calibration_error", 0, 1, "", _OWN, "C. Guo et al., ICML 2017"),
        ("mce", "probabilities:maximum_calibration_error", 0, 1, "", _OWN, "M. P. Naeini et al., AAAI 2015"),
        ("ace", "probabilities:adaptive_calibration_error", 0, 1, "", _OWN, "K. Nguyen and B. O'Connor, EMNLP 2015"),
    ),
    "probabilities": (
        ("log_loss", "probabilities:log_loss", 0, inf, "names", _OWN, "I. J. Good, JRSS B 14 (1952)"),
        ("brier", "probabilities:brier_loss", 0, 2, "names", _OWN, "G. W. Brier, Mon. Weather Rev. 78 (1950)"),
    ),
    "scores": (
        ("roc_auc", "ranked:roc_auc_score", 0, 1, "monotone", _OWN, "J. Hanley and B. McNeil, Radiology 143 (1982)"),
        ("average_precision", "ranked:average_precision_score", 0, 1, "monotone", _OWN, _IR),
    ),
    "label tables": (
        ("subset_accuracy", "multilabel:subset_accuracy_score", 0, 1, "names", _OWN, _MINING),
        ("hamming", "multilabel:hamming_loss", 0, 1, "names", _OWN,
         "R. Schapire and Y. Singer, Mach. Learn. 39 (2000)"),
        ("micro_f1", "ranked:micro_f1_score", 0, 1, "names", _OWN, _MINING),
        ("labels_f1", "ranked:labels_f1_score", 0, 1, "names", _OWN, _MINING),
        ("samples_f1", "multilabel:samples_f1_score", 0, 1, "names", _OWN, _MINING),
        ("micro_jaccard", "multilabel:micro_jaccard_score", 0, 1, "names", _OWN, _MINING),
        ("macro_jaccard", "multilabel:macro_jaccard_score", 0, 1, "names", _OWN, _MINING),
        ("samples_jaccard", "multilabel:samples_jaccard_score", 0, 1, "names", _OWN,
         "S. Godbole and S. Sarawagi, PAKDD 2004"),
    ),
    "label scores": (
        ("macro_roc_auc", "multilabel:macro_roc_auc_score", 0, 1, "names monotone", _OWN, _MINING),
        ("macro_average_precision", "multilabel:macro_average_precision_score", 0, 1, "names monotone", _OWN, _MINING),
        ("label_ranking", "multilabel:label_ranking_score", 0, 1, "names monotone", _SK, _MINING),
        ("label_ranking_loss", "multilabel:label_ranking_loss", 0, 1, "names monotone", _SK, _MINING),
    ),
    "numbers": (
        ("rmse", "rating:rmse_error", 0, inf, "shift proportional", _OWN, "root of the mean square"),
        ("mae", "rating:mae_error", 0, inf, "shift proportional", _OWN, "mean of the absolute differences"),
        ("r2", "rating:r2_score", -inf, 1, "shift scale", _OWN, "S. Wright, J. Agric. Res. 20 (1921)"),
        ("explained_variance", "regression:explained_variance_score", -inf, 1, "shift scale", _SK,
         "1 - Var(t - p) / Var(t)"),
        ("mape", "regression:mape_error", 0, inf, "scale", _SK,
         "R. J. Hyndman and A. B. Koehler, Int. J. Forecast. 22 (2006)"),
        ("smape", "regression:smape_error", 0, 2, "scale", _OWN, "S. Makridakis, Int. J. Forecast. 9 (1993)"),
        ("median_absolute", "regression:median_absolute_error", 0, inf, "shift proportional", _SK,
         "median of the absolute differences"),
        ("pinball", "regression:pinball_loss", 0, inf, "shift proportional", _SK,
         "R. Koenker and G. Bassett, Econometrica 46 (1978)"),
    ),
    "groups": (
        ("adjusted_rand", "clustering:adjusted_rand_score", -0.5, 1, "names", _SK,
         "L. Hubert and P. Arabie, J. Classif. 2 (1985)"),
        ("nmi", "clustering:normalised_mutual_information_score", 0, 1, "names", _SK,
         "A. Strehl and J. Ghosh, JMLR 3 (2002)"),
        ("ami", "clustering:adjusted_mutual_information_score", -inf, 1, "names", _SK,
         "N. X. Vinh et al., JMLR 11 (2010)"),
        ("homogeneity", "clustering:homogeneity_score", 0, 1, "names", _SK, _V),
        ("completeness", "clustering:completeness_score", 0, 1, "names", _SK, _V),
        ("v_measure", "clustering:v_measure_score", 0, 1, "names", _SK, _V),
        ("bcubed_precision", "clustering:bcubed_precision_score", 0, 1, "names", _OWN, _B3),
        ("bcubed_recall", "clustering:bcubed_recall_score", 0, 1, "names", _OWN, _B3),
        ("bcubed_f1", "clustering:bcubed_f1_score", 0, 1, "names", _OWN, _B3),
        ("pairwise_f1", "clustering:pairwise_f1_score", 0, 1, "names", _SK, _IR),
    ),
    "points": (
        ("silhouette", "clustering:silhouette_score", -1, 1, "scale shift names", _SK,
         "P. Rousseeuw, J. Comput. Appl. Math. 20 (1987)"),
    ),
    "boxes": tuple(
        (name, "detection:detection_scores", 0, 1, "names monotone", _OWN, _COCO)
        for name in ("map", "map50", "map75", "map_small", "map_medium", "map_large",
                     "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
    ),
    "pixels": (
        ("miou", "segmentation:miou_score", 0, 1, "names", _OWN, "M. Everingham et al., IJCV 111 (2015)"),
        ("dice", "segmentation:dice_score", 0, 1, "names", _OWN, "L. R. Dice, Ecology 26 (1945)"),
        ("pixel_accuracy", "segmentation:pixel_accuracy_score", 0, 1, "names", _OWN, "J. Long et al., CVPR 2015"),
    ),
    "pairs": (
        ("auc", "verification:auc_score", 0, 1, "monotone", _OWN, "J. Hanley and B. McNeil, Radiology 143 (1982)"),
        ("eer", "verification:eer_error", 0, 1, "monotone", _OWN, _GROTHER),
        ("tar_at_far", "verification:tar_at_far_score", 0, 1, "monotone", _OWN, _GROTHER),
    ),
    "spans": (
        ("span_precision", "spans:span_precision_score", 0, 1, "names", _OWN, _CONLL),
        ("span_recall", "spans:span_recall_score", 0, 1, "names", _OWN, _CONLL),
        ("span_f1", "spans:span_f1_score", 0, 1, "names", _OWN, _CONLL),
        ("span_macro_f1", "spans:span_macro_f1_score", 0, 1, "names", _OWN, _CONLL),
    ),
    "written text": (
        ("bleu", "generation:bleu_score", 0, 100, "", "sacrebleu", "K. Papineni et al., ACL 2002; M. Post, WMT 2018"),
        ("chrf", "generation:chrf_score", 0, 100, "", "sacrebleu", "M. Popović, WMT 2015"),
        ("ter", "generation:ter_error", 0, inf, "", "sacrebleu", "M. Snover et al., AMTA 2006"),
    ),
    "answers": (
        ("exact_match", "answers:exact_match_score", 0, 1, "", _OWN, _SQUAD),
        ("token_f1", "answers:token_f1_score", 0, 1, "", _OWN, _SQUAD),
    ),
    "no answer": (
        ("no_answer_auc", "answers:no_answer_auc_score", 0, 1, "monotone", _OWN,
         "J. Hanley and B. McNeil, Radiology 143 (1982)"),
    ),
    "rankings": (
        ("precision@k", "ranking:precision_score", 0, 1, "names", _OWN, _IR),
        ("recall@k", "ranking:recall_score", 0, 1, "names", _OWN, _IR),
        ("f1@k", "ranking:f1_score", 0, 1, "names", _OWN, _IR),
        ("hit@k", "ranking:hit_score", 0, 1, "names", _OWN, "M. Deshpande and G. Karypis, ACM TOIS 22 (2004)"),
        ("mrr@k", "ranking:reciprocal_rank_score", 0, 1, "names", _OWN, "E. Voorhees, TREC-8 (1999)"),
        ("map@k", "ranking:average_precision_score", 0, 1, "names", _OWN, "C. Buckley and E. Voorhees, SIGIR 2000"),
        ("ndcg@k", "ranking:ndcg_score", 0, 1, "names", _OWN, _JARVELIN),
        ("rbp@k", "ranking:rank_biased_precision_score", 0, 1, "names", _OWN,
         "A. Moffat and J. Zobel, ACM TOIS 27 (2008)"),
    ),
    "graded rankings": (("graded_ndcg@k", "ranking:graded_ndcg_score", 0, 1, "names scale", _OWN, _JARVELIN),),
    "whole rankings": (
        ("user_auc", "ranking:auc_score", 0, 1, "names", _OWN,
     "J. Hanley and B. McNeil, Radiology 143 (1982)"),),
    "lists beyond accuracy": (
        ("coverage", "beyond:coverage_score", 0, 1, "names", _OWN, _GE),
        ("gini", "beyond:gini_error", 0, 1, "names scale", _OWN, "D. Fleder and K. Hosanagar, Manag. Sci. 55 (2009)"),
        ("novelty", "beyond:novelty_score", 0, inf, "names", _OWN, "T. Zhou et al., PNAS 107 (2010)"),
        ("popularity", "beyond:popularity_error", 0, inf, "names", _OWN, "H. Yin et al., VLDB 2012"),
        ("popularity_lift", "beyond:popularity_lift", -1, inf, "names", _OWN, "H. Abdollahpouri et al., RecSys 2020"),
        ("diversity", "beyond:diversity_score", 0, 2, "names", _OWN,
         "B. Smyth and K. Bradley (2001); C.-N. Ziegler et al., WWW 2005"),
        ("serendipity", "beyond:serendipity_score", 0, 1, "names", _OWN, _GE),
        ("miscalibration", "beyond:calibration_error", 0, inf, "names", _OWN, "H. Steck, RecSys 2018"),
    ),
}  # fmt: skip

WHOLE = {
    "ace": "its bins part at quantiles of all confidences. Take ece, whose bins are fixed",
    "label scores": "each label's curve needs its own order of scores. Take roc_auc of one label after the other",
    "median_absolute": "a median needs all differences. Take mae, or a sample of the rows",
    "groups": "the table of groups by clusters may grow with the items. Call shared.evaluation.clustering on all",
    "points": "every point is compared with every other. Take clustering.silhouette_score of a sample",
    "boxes": "average precision needs all boxes by score. Call shared.evaluation.matching.match_boxes, which holds "
    "about 100 bytes a box",
    "pairs": "a threshold needs all similarities in order. Take auc, or call shared.evaluation.verification",
    "lists beyond accuracy": "it is of the catalogue as a whole. Add up beyond.exposure of each chunk "
    "and take gini_error, or the share above 0, of the sum",
}
"""Why figures do not stream and what to do, by name or by kind."""
BOUNDED = ("roc_auc", "average_precision", "auc", "no_answer_auc")
"""What streams between bounds: the order of any number of scores does not fit into bounded memory."""
_NO_STREAM = {
    *("ace", "macro_roc_auc", "macro_average_precision", "median_absolute", "eer", "tar_at_far", "coverage", "gini"),
    *(line[0] for kind in ("groups", "points", "boxes") for line in _LINES[kind]),
}

_K = {"k": 10}
_OPTIONS: dict[str, Mapping[str, Any]] = {
    "top_k": {"k": 5},
    "tar_at_far": {"far": 1e-3},
    **{line[0]: _K for kind in ("rankings", "graded rankings") for line in _LINES[kind]},
}


def _rows(kind: str, lines: Iterable[Line]) -> Iterable[Row]:
    for name, home, low, high, keeps, library, source in lines:
        better: Better = "lower" if home.endswith(("_error", "_loss")) else "higher"
        if name == "popularity_lift":  # a signed difference from what a user chose
            better = "nearer 0"
        streams: Streams = "no" if name in _NO_STREAM else "between bounds" if name in BOUNDED else "yes"
        options = _OPTIONS.get(name, {})
        yield name, kind, home, low, high, better, tuple(keeps.split()), library, source, options, streams


ROWS: tuple[Row, ...] = tuple(row for kind, lines in _LINES.items() for row in _rows(kind, lines))
