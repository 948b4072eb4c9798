"""Retrieval and answers from documents: how good, how fast, beside BM25 of bm25s and LanceDB.

    python bench/answers.py --data FOLDER [--questions 300] [--judged 60]
    python bench/answers.py --data FOLDER --speed [--passages 100000]
    python bench/answers.py --data FOLDER --pdf [--pages 300]

*Quality.* Each paragraph of SQuADShifts' new Wikipedia set is a document; a question's paragraph is what must be found
among all of them. Recall, MRR and NDCG with 95 % bootstrap intervals over questions, for search by words, by meaning
with each encoder, for both fused, and re-ranked (on the first ``--judged`` questions, for it is slow). Citation
precision: of the questions that were answered, the share whose first answer cites the true paragraph, and the share
whose first answer, a sentence, holds a true answer. And each is searched for a second time with its whole article left
out, so that whatever fits well enough to be answered from is wrong.

*Speed.* An index of passages made of real sentences, with random vectors. A query encodes a real question, searches
both ways and fuses. LanceDB holds the same vectors (exact search, no vector index) and the same texts under its own
full-text index; its hybrid query is its own.

*PDF.* A document of so many pages of real paragraphs, some 3,000 characters a page, made by fpdf2; processor time from
its bytes to three answers.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.encoder import open_encoder
from nlp.qa.ask import asker, open_finder
from nlp.qa.data import Question, read_questions
from nlp.retrieval.adding import Prepared
from nlp.retrieval.chunks import Chunk
from nlp.retrieval.documents import Document, Page
from nlp.retrieval.search import fused, nearest
from nlp.retrieval.store import PassageStore, open_passages
from nlp.retrieval.words import telling_words
from shared.errors import MissingDependencyError
from shared.evaluation.answers import normalise_answer
from shared.evaluation.intervals import mean_interval, wilson
from shared.evaluation.ranking import ranking_scores
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.vectors import similarities

WIKI = "nlp/squadshifts/datasets/new_wiki_v1.0.json"
ENCODERS = ("all-minilm-l6-v2", "bge-small-en")
DIMENSION, DEPTH = 384, 20
PAGE = 3000


def questions(data: Path) -> tuple[list[Question], list[str]]:
    """Questions in a fixed random order, and every paragraph."""
    found = read_questions(data / WIKI)
    texts = list(dict.fromkeys(question.context for question in found))
    random.Random(0).shuffle(found)
    return found, texts


def shown(metric: Metric) -> str:
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"


def report(name: str, truth: list[int], ranked: list[list[int]]) -> None:
    rng = np.random.default_rng(0)
    wanted = [[t] for t in truth]
    parts = []
    for k, names in ((1, ("recall",)), (5, ("recall",)), (20, ("recall",)), (10, ("mrr", "ndcg"))):
        scores = ranking_scores(wanted, [row[:k] for row in ranked], k=k)
        parts += [f"{kind}@{k} {shown(mean_interval(scores[f'{kind}@{k}'], rng=rng))}" for kind in names]
    print(f"  {name:<34} " + "  ".join(parts), flush=True)


def quality(data: Path, count: int, judged: int) -> None:
    everything, texts = questions(data)
    asked = everything[:count]
    place = {text: at for at, text in enumerate(texts)}
    truth = [place[question.context] for question in asked]
    print(f"{count} questions, {len(texts)} paragraphs")
    with tempfile.TemporaryDirectory() as folder:
        index = filled(Path(folder) / "index", texts)
        words = [numbers(index.search(q.question, k=100, way="words")) for q in asked]
        report("words", truth, words)
        try:
            report("words, bm25s", truth, peer_words(texts, asked))
        except MissingDependencyError as error:
            print(f"without bm25s: {error}")
        for name in ENCODERS:
            meaning = by_meaning(name, texts, asked)
            report(f"meaning, {name}", truth, meaning)
            for weights in ((1.0, 1.0), (1.0, 2.0), (2.0, 1.0)):
                both = [[item for item, _ in fused(pair, weights)] for pair in zip(words, meaning)]
                report(f"hybrid {weights[0]:g}:{weights[1]:g}, {name}", truth, both)
        article = {place[question.context]: question.article for question in everything}
        answers(index, asked[:judged], truth[:judged], [article[at] for at in range(len(texts))])
        index.close()


def filled(folder: Path, texts: list[str]) -> Any:
    """An index of the paragraphs, each a file that is named by its number."""
    files = folder.parent / "paragraphs"
    files.mkdir()
    for at, text in enumerate(texts):
        (files / f"{at}.txt").write_text(text, "utf-8")
    index = nlp.open_index(folder, create=True, chunk_tokens=250, chunk_overlap=0)
    began, worked = time.perf_counter(), time.process_time()
    failed = [row for row in index.add(sorted(files.iterdir())) if row.failure]
    print(
        f"indexed {len(index)} passages in {time.perf_counter() - began:.0f} s, "
        f"{time.process_time() - worked:.0f} s of processor, {len(failed)} failed"
    )
    return index


def peer_words(texts: list[str], asked: list[Question]) -> list[list[int]]:
    bm25s = require("bm25s", extra="dev")
    model = bm25s.BM25(k1=1.2, b=0.75, method="robertson")
    model.index([telling_words(text) for text in texts], show_progress=False)
    scores = [model.get_scores(telling_words(q.question)) for q in asked]
    return [np.argsort(-row, kind="stable")[:100].tolist() for row in scores]


def by_meaning(name: str, texts: list[str], asked: list[Question]) -> list[list[int]]:
    encoder = open_encoder(name)
    prefix = str(encoder.card.options.get("query_prefix", ""))
    worked = time.process_time()
    known = np.concatenate([encoder.vectors([encoder.ids(t) for t in texts[a:b]]) for a, b in steps(len(texts))])
    print(f"  {name}: {1000 * (time.process_time() - worked) / len(texts):.1f} ms of processor a paragraph", flush=True)
    every = np.arange(len(texts))
    vectors = encoder.vectors([encoder.ids(prefix + q.question) for q in asked])
    return [nearest(row, every, k=100) for row in similarities(vectors, known)]


def steps(total: int, size: int = 128) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, total, size), total]))


def answers(index: Any, asked: list[Question], truth: list[int], articles: list[str]) -> None:
    finder, model = open_finder(index), asker(index, reader="none")
    ranked: list[list[int]] = []
    seconds = []
    answered = cited = held = strangers = 0
    for question, right in zip(asked, truth):
        began = time.process_time()
        ranked.append(numbers(finder.ranked(question.question, k=DEPTH)))
        seconds.append(time.process_time() - began)
        found = [p for p in index.search(question.question, k=100) if articles[number(p)] != articles[right]][:DEPTH]
        strangers += bool((finder.reranker.scores(question.question, [p.text for p in found]) >= 0).any())
        result: Any = model.predict([question.question])[0]
        if result.answers:
            best = result.answers[0]
            answered += 1
            cited += number(best.passage) == right
            held += any(normalise_answer(a) in normalise_answer(best.text) for a in question.answers)
    report(f"re-ranked, {DEPTH} of hybrid, n={len(asked)}", truth, ranked)
    print(f"  re-ranking a question: {statistics.median(seconds):.2f} s of processor, median")
    print(
        f"  answered {shown(wilson(answered, len(asked)))}; citation precision {shown(wilson(cited, answered))}; "
        f"sentence holds a true answer {shown(wilson(held, answered))}; "
        f"answered though its article is left out {shown(wilson(strangers, len(asked)))}"
    )


def number(passage: Any) -> int:
    return int(Path(passage.path).stem)


def numbers(passages: list[Any]) -> list[int]:
    """The paragraphs that passages are of, each once; a long paragraph has several passages."""
    return list(dict.fromkeys(map(number, passages)))


def sentences(data: Path) -> tuple[list[str], list[str]]:
    found, texts = questions(data)
    return [s for text in texts for s in text.split(". ") if len(s) > 20], [q.question for q in found]


def made(store: PassageStore, passages: list[str], vectors: Any) -> None:
    """Fill a store as an index does, a thousand passages a document."""
    for at, (begin, stop) in enumerate(steps(len(passages), 1000)):
        cut = tuple(Chunk(None, "", 0, len(text), text) for text in passages[begin:stop])
        row = Prepared(f"/document-{at}.txt", str(at), Document("text", (Page(None, "x"),)), cut, ())
        with store.slots.writing():
            store.put(row, vectors[begin:stop])


def speed(data: Path, count: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    known, asked = sentences(data)
    passages = [". ".join(known[at] for at in rng.integers(0, len(known), 7))[:900] for _ in range(count)]
    vectors = rng.standard_normal((count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    print(f"{count} passages, {repeats} questions; wall and processor milliseconds, medians")
    with tempfile.TemporaryDirectory() as folder:
        opened = nlp.open_index(Path(folder) / "own", create=True)
        facts = {name: opened.info()[name] for name in ("encoder", "encoder_sha256", "chunk_tokens", "chunk_overlap")}
        opened.close()
        store = open_passages(Path(folder) / "own", {**facts, "dimension": DIMENSION})
        began = time.perf_counter()
        made(store, passages, vectors)
        store.slots.close()
        with nlp.open_index(Path(folder) / "own") as index:
            print(f"  own: filled in {time.perf_counter() - began:.0f} s, {index.info()['bytes'] / 1e6:.0f} MB")
            for way in ("words", "meaning", "hybrid"):
                timed(f"own, {way}", [lambda q=q, way=way: index.search(q, way=way) for q in asked[:repeats]])
        try:
            lance(Path(folder) / "lance", passages, vectors, asked[:repeats])
        except MissingDependencyError as error:
            print(f"without lancedb: {error}")


def lance(folder: Path, passages: list[str], vectors: Any, asked: list[str]) -> None:
    import pyarrow as pa

    table_of = require("lancedb", extra="bench").connect(folder)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIMENSION)
    began = time.perf_counter()
    table = table_of.create_table("passages", pa.table({"text": passages, "vector": flat}))
    table.create_index("text", config=require("lancedb.index", extra="bench").FTS())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"  lancedb: filled in {time.perf_counter() - began:.0f} s, {size / 1e6:.0f} MB")
    encoder = open_encoder()
    words = [" ".join(telling_words(q)) for q in asked]
    points = [encoder.vectors([encoder.ids(q)])[0] for q in asked]
    timed("lancedb, words", [lambda w=w: table.search(w, query_type="fts").limit(10).to_list() for w in words])
    timed("lancedb, meaning", [lambda p=p: table.search(p).limit(10).to_list() for p in points])
    timed(
        "lancedb, hybrid",
        [
            lambda w=w, p=p: table.search(query_type="hybrid").vector(p).text(w).limit(10).to_list()
            for w, p in zip(words, points)
        ],
    )


def timed(name: str, calls: list[Callable[[], Any]]) -> None:
    calls[0]()
    wall, work = [], []
    for call in calls:
        began, worked = time.perf_counter(), time.process_time()
        call()
        wall.append(1000 * (time.perf_counter() - began))
        work.append(1000 * (time.process_time() - worked))
    print(
        f"  {name:<18} wall {statistics.median(wall):7.1f}, 95 % within {np.quantile(wall, 0.95):7.1f}; "
        f"processor {statistics.median(work):7.1f}",
        flush=True,
    )


def pdf(data: Path, pages: int) -> None:
    everything, texts = questions(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.pdf"
        where = book(path, texts, pages)
        asked = [q for q in everything if q.context in where][:3]
        worked, began = time.process_time(), time.perf_counter()
        with nlp.open_index(Path(folder) / "index", create=True) as index:
            (row,) = index.add([path])
            print(f"{row.pages} pages, {row.passages} passages: {time.process_time() - worked:.1f} s of processor")
            model = asker(index, reader="none")
            results = model.predict([q.question for q in asked])
            print(
                f"with {len(asked)} questions {time.process_time() - worked:.1f} s of processor, "
                f"{time.perf_counter() - began:.1f} s on the wall"
            )
        for question, result in zip(asked, results):
            first = result.answers[0] if result.answers else None  # type: ignore[union-attr]
            print(f"  {question.question}  (page {where[question.context]})")
            print("    no answer" if first is None else f"    {first.passage.where}: {' '.join(first.text.split())}")


def book(path: Path, texts: list[str], pages: int) -> dict[str, int]:
    """Write the PDF; the page that each paragraph begins on."""
    fpdf = require("fpdf", extra="dev")
    made = fpdf.FPDF()
    made.set_font("Helvetica", size=10)
    where: dict[str, int] = {}
    left = 0
    for text in texts:
        if left < len(text):
            if made.page == pages:
                break
            made.add_page()
            left = PAGE
        where[text] = made.page
        made.multi_cell(0, 4.5, text.encode("latin-1", "replace").decode("latin-1"))
        made.ln(2)
        left -= len(text)
    made.output(str(path))
    return where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--judged", type=int, default=60, help="questions that are re-ranked and answered")
    parser.add_argument("--speed", action="store_true", help="measure queries instead")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=100, help="queries")
    parser.add_argument("--pdf", action="store_true", help="index and ask a PDF instead")
    parser.add_argument("--pages", type=int, default=300)
    given = parser.parse_args()
    if given.speed:
        speed(given.data, given.passages, given.repeats)
    elif given.pdf:
        pdf(given.data, given.pages)
    else:
        quality(given.data, given.questions, given.judged)


if __name__ == "__main__":
    main()
