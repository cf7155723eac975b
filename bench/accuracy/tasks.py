"""The tasks: sequences that are classified, regressed, tagged, translated and written; all tasks by their names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import rnnfast as rf
from bench.accuracy import agents, floors, forecasts, readers, synthetic
from bench.accuracy.metrics import ACCURACY, CHARACTERS, EXACT, NATS, SQUARED_ERROR, Part
from bench.accuracy.task import Data, Floor, Task, split
from bench.accuracy.words import Lexicon
from rnnfast.demo.dates_data import ISO, Calendar
from rnnfast.text import Vocabulary


def japanese_vowels() -> Data:
    """Nine speakers; the channels are standardised by the training part. The file lists 30 cases of each in turn."""
    learned, judged = (
        rf.data.read_ts(readers.found("japanese_vowels", f"JapaneseVowels_{part}.ts.gz")) for part in ("TRAIN", "TEST")
    )
    scaler = rf.data.Scaler.fit(learned.x)
    order = np.random.default_rng(0).permutation(len(learned))
    x = scaler.transform(learned.x)
    mixed = Part([x[i] for i in order], learned.y[order])
    return split(mixed, Part(scaler.transform(judged.x), judged.y), (12, 9), share=1 / 3)


def two_sines() -> Data:
    """The next value of 50; 7,000 series to learn from, 2,000 to choose by and 1,000 to judge by."""
    series = rf.data.synthetic.two_sines(10_000, 51, seed=np.random.RandomState(42))
    x, y = series[:, :50], series[:, 50]
    train, validation, test = (Part(x[at], y[at]) for at in (slice(7000), slice(7000, 9000), slice(9000, None)))
    return Data(train, train, validation, test, (1, 1))


def reber() -> Data:
    """Whether a string is one of the embedded grammar; half of them have a wrong letter.

    The training part is drawn as it comes and repeats short strings. Of the test part it has none.
    """
    rng, letters = np.random.default_rng(0), Vocabulary(rf.data.synthetic.REBER_SYMBOLS)
    strings, labels = synthetic.labelled_reber_strings(10_000, rng)
    others, test_labels = synthetic.labelled_reber_strings(2000, rng, without=set(strings))
    train = Part([letters.encode(s) for s in strings], labels)
    return split(train, Part([letters.encode(s) for s in others], test_labels), (len(letters), 2))


def atis() -> Data:
    """Parts of speech of the words of questions.

    Words that the training part has once, and unknown ones, are read as their ending. A tag that the training part does
    not have is one class more.
    """
    learned, chosen, judged = (
        readers.tagged_sentences(readers.found("ud_atis", f"en_atis-{part}.form_upos.tsv.gz"))
        for part in ("train", "dev", "test")
    )
    words = Lexicon((word for sentence in learned for word, _ in sentence), least=2)
    tags = {tag: k for k, tag in enumerate(sorted({tag for sentence in learned for _, tag in sentence}))}

    def part(sentences: list[readers.Sentence]) -> Part:
        x = [np.array([words[word] for word, _ in s]) for s in sentences]
        return Part(x, [np.array([tags.get(tag, len(tags)) for _, tag in s]) for s in sentences])

    train = part(learned)
    return Data(train, train, part(chosen), part(judged), (len(words), len(tags) + 1))


def dates() -> Data:
    """Days as people write them, to ISO 8601; a tenth of the days of a hundred years is held out."""
    rng = np.random.default_rng(0)
    days = Calendar(held_out=0.1, rng=rng)
    learned, test = days.written(rng.permutation(days.train), rng), days.written(days.test, rng)
    return split(Part(learned.x, learned.y), Part(test.x, test.y), (len(days.vocabulary), len(ISO)))


def addition() -> Data:
    """Sums of two numbers of one or two digits: 5,000 different questions, read from their end, a tenth held out."""
    letters, digits = Vocabulary("+0123456789"), Vocabulary("0123456789")
    pairs = synthetic.additions(5000, np.random.default_rng(0))
    x = [letters.encode(f"{a}+{b}"[::-1]) for a, b in pairs]
    whole = Part(x, [digits.encode(str(a + b)) for a, b in pairs])
    return split(whole[:4500], whole[4500:], (len(letters), len(digits)))


def shakespeare() -> Data:
    """A long text; its last tenth is held out, and the end of what is left chooses."""
    text = readers.text(readers.found("shakespeare", "tinyshakespeare.txt.gz"))
    letters = Vocabulary(text)
    ids = letters.encode(text)
    kept = len(ids) * 9 // 10
    return split(Part(ids[:kept]), Part(ids[kept:]), (len(letters), len(letters)))


def names() -> Data:
    """First names, each after a start and before a stop; a shuffled tenth of the lines is held out."""
    lines = readers.text(readers.found("names", "makemore_names.txt")).split()
    letters = Vocabulary("".join(sorted(set("".join(lines)))))
    stop, start = len(letters), len(letters) + 1
    order = np.random.RandomState(0).permutation(len(lines))
    x = [np.r_[start, letters.encode(lines[i]), stop] for i in order]
    kept = len(x) - len(x) // 10
    return split(Part(x[:kept]), Part(x[kept:]), (start + 1, stop + 1))


def adding() -> Data:
    """The sum of two marked numbers of 200."""
    whole = Part(*rf.data.synthetic.adding(62_000, 200, seed=0))
    return split(whole[:60_000], whole[60_000:], (2, 1), share=1 / 60)


def of_pairs(name: str, score: Callable[..., float]) -> Floor:
    """The floor of a method that takes x and y of the training part and of the test part."""
    return Floor(name, lambda data: score(*data.train.arguments, *data.test.arguments))


def ngrams(score: Callable[..., float]) -> Floor:
    """The floor of n-grams of the length that is best."""
    return Floor("5-gram", lambda data: score(data.train.x, data.test.x, data.sizes[0], 5))


TASKS = {
    task.name: task
    for task in (
        Task(
            "japanese-vowels",
            rf.ManyToOne,
            japanese_vowels,
            ACCURACY,
            of_pairs("logistic regression on mean and deviation", floors.logistic_regression),
        ),
        Task("two-sines", rf.ManyToOne, two_sines, SQUARED_ERROR, of_pairs("least squares", floors.least_squares)),
        Task("reber", rf.ManyToOne, reber, ACCURACY, Floor("chance", lambda data: 0.5)),
        Task("atis", rf.ManyToMany, atis, ACCURACY, of_pairs("most frequent tag", floors.most_frequent_tag)),
        Task("dates", rf.EncoderDecoder, dates, EXACT),
        Task("addition", rf.EncoderDecoder, addition, CHARACTERS),
        Task("shakespeare", rf.OneToMany, shakespeare, NATS, ngrams(floors.ngrams_of_text)),
        Task("names", rf.OneToMany, names, NATS, ngrams(floors.ngrams_of_sequences)),
        Task("adding", rf.ManyToOne, adding, SQUARED_ERROR, Floor("guess of 1", lambda data: 1 / 6)),
        *forecasts.TASKS,
        *agents.TASKS,
    )
}
