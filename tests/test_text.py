"""Vocabularies of characters, words and bytes, and models that read and write texts."""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.text import AnyVocabulary, ByteVocabulary, Vocabulary, WordVocabulary, as_vocabulary
from tests.support.comparison import CELLS

equal = np.testing.assert_array_equal
TEXTS = ["To be, or not to be:", "that is the question."]
VOCABULARIES: dict[str, AnyVocabulary] = {
    "characters": Vocabulary(TEXTS),
    "frequent characters": Vocabulary(TEXTS, min_count=3, unknown=True, padding=True),
    "words": WordVocabulary(TEXTS),
    "few words": WordVocabulary(TEXTS, max_size=3, lowercase=True, padding=True),
    "words without an unknown": WordVocabulary(TEXTS, unknown=False),
    "bytes": ByteVocabulary(),
    "padded bytes": ByteVocabulary(padding=True),
}
every_vocabulary = pytest.mark.parametrize("v", VOCABULARIES.values(), ids=VOCABULARIES.keys())


def any_text(seed: int, most: int = 0x10FFFF) -> str:
    """Characters of all of Unicode but the surrogates, which stand for nothing alone."""
    draw = random.Random(seed)
    codes = [c for c in (draw.randrange(most) for _ in range(60)) if not 0xD800 <= c < 0xE000]
    return "".join(map(chr, codes))


# Vocabularies by themselves


@pytest.mark.parametrize("seed", range(20))
def test_characters_and_bytes_come_back(seed: int) -> None:
    texts = [any_text(seed), any_text(seed + 100, 500), "", "\x00\n\r\t \N{ZERO WIDTH SPACE}é\r\n"]
    for v in (Vocabulary(texts), Vocabulary(texts, unknown=True, padding=True), ByteVocabulary()):
        assert [v.decode(v.encode(text)) for text in texts] == texts
        assert v.decode(v.encode(texts)) == texts


@pytest.mark.parametrize("seed", range(5))
def test_bytes_are_those_of_utf_8(seed: int) -> None:
    text = any_text(seed)
    ids = ByteVocabulary().encode(text)
    assert bytes(ids.tolist()) == text.encode("utf-8")
    assert ids.dtype == np.int64


def test_words_are_what_the_expression_finds() -> None:
    v = WordVocabulary(TEXTS)
    expected = re.findall(r"\w+|[^\w\s]", " ".join(TEXTS))
    assert v.words == tuple(sorted(set(expected)))
    assert [v.words[i] for i in np.concatenate(v.encode(TEXTS))] == expected
    assert v.decode(v.encode(TEXTS)) == ["To be , or not to be :", "that is the question ."]
    assert v.encode("").shape == (0,)


def test_upper_and_lower_case() -> None:
    assert WordVocabulary("A a B").words == ("A", "B", "a")
    v = WordVocabulary("A a B", lowercase=True)
    assert v.words == ("a", "b")
    equal(v.encode("A b C"), [0, 1, 2])


@pytest.mark.parametrize("least", [1, 2, 3, 99])
@pytest.mark.parametrize("most", [None, 1, 4, 99])
def test_what_is_frequent_is_kept(least: int, most: int | None) -> None:
    text = "mississippi is a river in mississippi"
    v = Vocabulary(text, min_count=least, max_size=most, unknown=True)
    ranked = sorted(Counter(text).items(), key=lambda item: (-item[1], item[0]))
    assert v.characters == "".join(sorted(c for c, count in ranked[:most] if count >= least))
    assert v.unknown == len(v.characters)
    words = WordVocabulary([text, text], min_count=2 * least, max_size=most)
    ranked = sorted(Counter(text.split()).items(), key=lambda item: (-item[1], item[0]))
    assert words.words == tuple(sorted(w for w, count in ranked[:most] if count >= least))


def test_ids_of_the_unknown_and_of_padding_are_last() -> None:
    v = Vocabulary("abc", unknown=True, padding=True)
    assert (v.unknown, v.padding, len(v), v.written) == (3, 4, 5, 4)
    equal(v.encode("axb"), [0, 3, 1])
    assert v.decode([0, 3, 1, 4, 4]) == "a\N{REPLACEMENT CHARACTER}b"
    plain = Vocabulary("abc")
    assert (plain.unknown, plain.padding, len(plain)) == (None, None, 3)
    assert WordVocabulary("a b", padding=True).decode([0, 2, 1, 3]) == "a <unk> b"
    padded = ByteVocabulary(padding=True)
    assert (padded.padding, len(padded), padded.decode([104, 256, 105])) == (256, 257, "hi")
    assert ByteVocabulary().decode([104, 255, 105]) == "h\N{REPLACEMENT CHARACTER}i"


def test_membership() -> None:
    assert "be" in WordVocabulary(TEXTS)
    assert "e" in Vocabulary(TEXTS)
    assert "z" not in Vocabulary(TEXTS, unknown=True)


def test_what_a_vocabulary_says_of_itself() -> None:
    assert repr(Vocabulary("abc")) == "<Vocabulary: 3 ids, unknown=None, padding=None>"
    assert repr(WordVocabulary("to be", padding=True)) == "<WordVocabulary: 4 ids, unknown=2, padding=3>"


@every_vocabulary
def test_lists_are_as_one_by_one(v: AnyVocabulary) -> None:
    ids = v.encode(TEXTS)
    for found, text in zip(ids, TEXTS, strict=True):
        equal(found, v.encode(text), strict=True)
    assert v.decode(ids) == [v.decode(each) for each in ids]
    rectangle: Any = np.stack([ids[0][:3], ids[1][:3]])
    several: Any = v.decode(rectangle)
    assert several == [v.decode(ids[0][:3]), v.decode(ids[1][:3])]
    assert v.encode([]) == []


@every_vocabulary
def test_a_configuration_stands_for_the_vocabulary(v: AnyVocabulary) -> None:
    for same in (as_vocabulary("vocabulary", v.config()), copy.copy(v), copy.deepcopy(v)):
        assert type(same) is type(v)
        assert same is not None
        assert (len(same), same.unknown, same.padding, same.config()) == (len(v), v.unknown, v.padding, v.config())
        for ids, expected in zip(same.encode(TEXTS), v.encode(TEXTS), strict=True):
            equal(ids, expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Vocabulary("abc").encode("abd"), ValueError, "text: characters .* required, got 'd' at place 2"),
        (lambda: Vocabulary("abc").encode(["a", "bd"]), ValueError, r"text\[1\]: .* got 'd' at place 1"),
        (lambda: WordVocabulary("a b", unknown=False).encode("a c"), ValueError, "text: words .* got 'c' at place 1"),
        (lambda: ByteVocabulary().encode("a\ud800"), ValueError, r"text: text that UTF-8 can hold .* at place 1"),
        (lambda: Vocabulary("abc").encode(["a", 3]), TypeError, r"text\[1\]: a string is required, got 3"),  # type: ignore[list-item]
        (lambda: Vocabulary("abc").decode([0, 3]), ValueError, r"ids: each within 0\.\.2 is required, got 3"),
        (lambda: ByteVocabulary().decode([256]), ValueError, r"ids: each within 0\.\.255 is required, got 256"),
        (lambda: Vocabulary("abc").decode([[0], [-1]]), ValueError, r"ids: each within 0\.\.2 is required, got -1"),
        (lambda: Vocabulary("abc", max_size=0), ValueError, "max_size: at least 1 is required, got 0"),
        (lambda: WordVocabulary("abc", min_count=0), ValueError, "min_count: at least 1 is required, got 0"),
        (lambda: as_vocabulary("vocabulary", {"kind": "syllables"}), ValueError, "one of characters, words, bytes"),
        (lambda: as_vocabulary("vocabulary", "abc"), TypeError, "vocabulary: a vocabulary of rnnfast.text"),
    ],
)
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# Models


@pytest.mark.parametrize("embedding", [None, 4])
@every_vocabulary
def test_a_model_reads_texts_as_their_ids(v: AnyVocabulary, embedding: int | None, cell: str) -> None:
    kind, own = CELLS[cell]
    options: dict[str, Any] = {"cell": kind, "cell_options": own, "hidden_size": 5, "embedding": embedding, "seed": 0}
    ids = v.encode(TEXTS)
    one = rf.ManyToOne(output_size=2, vocabulary=v, **options)
    equal(one.predict_proba(TEXTS), one.predict_proba(ids))
    assert one.loss(TEXTS, [0, 1]) == one.loss(ids, [0, 1])
    many = rf.ManyToMany(output_size=2, vocabulary=v, **options)
    for found, expected in zip(many.predict_proba(TEXTS), many.predict_proba(ids), strict=True):
        equal(found, expected)
    writer = rf.OneToMany(vocabulary=v, **options)
    assert writer.config["output_size"] == v.written
    assert writer.loss(TEXTS) == writer.loss(ids)
    assert writer.generate(TEXTS, 6, greedy=True) == [v.decode(row) for row in writer.generate(ids, 6, greedy=True)]


def trained(**options: Any) -> rf.OneToMany:
    model = rf.OneToMany(
        vocabulary=Vocabulary("hello world", unknown=True), cell="gru", hidden_size=24, seed=0, **options
    )
    model.fit(["hello world"] * 4, epochs=60, lr=0.02, progress=False, seed=0)
    return model


def test_text_in_and_text_out() -> None:
    model = trained()
    assert model.generate("hello", 6, greedy=True) == " world"
    assert model.generate(["hell", "hello w"], 4, greedy=True) == ["o wo", "orld"]
    assert model.generate("hello", 6, greedy=True, stop="r") == " wo"
    assert model.generate("hel", 8, greedy=True, prefix="lo")[:2] == "lo"
    written, log_p = model.generate("hello", 6, beams=4, num_sequences=2, return_log_probs=True)
    assert written[0] == " world"
    assert log_p.shape == (2, 6)
    ids = model.generate(model.vocabulary.encode("hello"), 6, greedy=True)  # type: ignore[union-attr]
    assert ids.dtype == np.int64


def test_a_long_text_is_one_sequence() -> None:
    text = "hello world " * 20
    v = Vocabulary(text)
    a, b = (rf.OneToMany(vocabulary=v, hidden_size=5, seed=0) for _ in range(2))
    plan: dict[str, Any] = {"epochs": 2, "batch_size": 3, "seed": 0, "progress": False, "validation_split": 0.2}
    assert a.fit(text, **plan).history == b.fit(v.encode(text), **plan).history
    assert a.evaluate(text) == b.evaluate(v.encode(text))
    equal(a.predict(text), b.predict(v.encode(text)))
    assert a.trace(text).h[0].shape == (1, len(text), 5)


WORDS = ["abc", "ba", "c"]


def series(library: str) -> Callable[[list[str]], Any]:
    def make(words: list[str]) -> Any:
        return pytest.importorskip(library, reason=f"{library} is not installed").Series(words)

    return make


# Libraries set environment variables when they are first used: a fixture of the module begins before a test's guard.
@pytest.fixture(
    scope="module",
    params=[list, tuple, np.array, partial(np.array, dtype=object), series("pandas"), series("polars")],
    ids=["list", "tuple", "array", "objects", "pandas", "polars"],
)
def given(request: pytest.FixtureRequest) -> Any:
    return request.param(WORDS)


def test_texts_come_in_any_container(given: Any) -> None:
    words = WORDS
    model = rf.ManyToOne(output_size=2, vocabulary=Vocabulary("abc"), hidden_size=5, seed=0)
    equal(model.predict_proba(given), model.predict_proba(words))
    many = rf.ManyToMany(output_size=2, vocabulary=Vocabulary("abc"), hidden_size=5, seed=0)
    assert many.loss(given, [[0, 1, 0], [1, 1], [0]]) == many.loss(words, [[0, 1, 0], [1, 1], [0]])
    writer = rf.OneToMany(vocabulary=Vocabulary("abc"), hidden_size=5, seed=0)
    assert writer.generate(given, 3, seed=0) == writer.generate(words, 3, seed=0)
    assert writer.loss(given[:2]) == writer.loss(words[:2])


def test_a_single_text_has_no_axis_of_sequences() -> None:
    v = Vocabulary("hello")
    options: dict[str, Any] = {"vocabulary": v, "hidden_size": 5, "output_dropout": 0.3, "seed": 0}
    one, many = rf.ManyToOne(output_size=2, **options), rf.ManyToMany(output_size=2, **options)
    assert one.predict("hello") == one.predict(["hello"])[0]
    equal(one.predict_proba("hello"), one.predict_proba(["hello"])[0], strict=True)
    assert one.predict("hello", samples=3, seed=0).shape == (3,)
    equal(many.predict_proba("hello"), many.predict_proba(["hello"])[0], strict=True)
    assert many.predict("hello", samples=3, seed=0).shape == (3, 5)


@pytest.mark.parametrize("attention", [None, "dot"])
def test_an_encoder_decoder_of_texts(attention: Any) -> None:
    words = ["ab", "ba", "abc", "cab", "c", "bca"]
    v = Vocabulary(words, padding=True)
    model = rf.EncoderDecoder(
        source_vocabulary=v, target_vocabulary=v, cell="gru", hidden_size=24, attention=attention, seed=0
    )
    reverse = [w[::-1] for w in words]
    model.fit(words, reverse, epochs=250, lr=0.01, progress=False, seed=0)
    assert model.predict(words) == reverse
    assert model.predict("cab") == "bac"
    best, log_p = model.predict("cab", beams=3, num_sequences=2, return_log_probs=True)
    assert best[0] == "bac"
    assert len(best) == 2
    assert log_p.shape == (2,)
    p = model.predict_proba("cab")
    assert v.decode(p.argmax(axis=1)) == "bac"
    assert model.loss(words, reverse) == model.loss(v.encode(words), v.encode(reverse))
    assert model.trace("cab")["decoder"].h[0].shape == (1, 4, 24)
    stream = model.stream(source="cab") if attention is None else None
    assert stream is None or stream.step(model.start_id).argmax() == v.encode("b")[0]


@every_vocabulary
def test_a_models_file_keeps_its_vocabulary(v: AnyVocabulary, tmp_path: Path) -> None:
    models: list[Any] = [
        rf.ManyToOne(output_size=2, vocabulary=v, embedding=3, hidden_size=4, seed=0),
        rf.ManyToMany(output_size=2, vocabulary=v, hidden_size=4, seed=0),
        rf.OneToMany(vocabulary=v, hidden_size=4, seed=0),
    ]
    for model in models:
        model.save(tmp_path / "model")
        same = rf.load(tmp_path / "model")
        assert same.config == model.config
        assert same.vocabulary.config() == v.config()
    equal(same.predict(TEXTS)[1], models[-1].predict(TEXTS)[1])
    assert same.generate(TEXTS, 5, seed=0) == models[-1].generate(TEXTS, 5, seed=0)
    pair = rf.EncoderDecoder(2, source_embedding=2, target_vocabulary=v, hidden_size=4, seed=0)
    pair.save(tmp_path / "model")
    same = rf.load(tmp_path / "model")
    assert same.source_vocabulary is None
    assert same.target_vocabulary.config() == v.config()
    assert same.predict([[0, 1]]) == pair.predict([[0, 1]])


def test_a_large_vocabulary_fits_into_a_file(tmp_path: Path) -> None:
    v = WordVocabulary(" ".join(f"w{i}" for i in range(60_000)))
    rf.ManyToOne(output_size=2, vocabulary=v, embedding=1, hidden_size=1, seed=0).save(tmp_path / "model")
    assert rf.load(tmp_path / "model").vocabulary.words == v.words


def test_files_from_before_have_none(tmp_path: Path) -> None:
    folder = Path(__file__).parent / "data"
    for path in sorted(folder.glob("*_lstm.safetensors")):
        model = rf.load(path)
        names = [name for name in model.config if name.endswith("vocabulary")]
        assert names
        assert [model.config[name] for name in names] == [None] * len(names)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda v: rf.OneToMany(5, vocabulary=v), ValueError, r"input_size: None, or len\(vocabulary\) = 3, .* got 5"),
        (lambda v: rf.OneToMany(task="regression", vocabulary=v), ValueError, "vocabulary: None is required for task"),
        (lambda v: rf.OneToMany(), TypeError, "input_size: an integer is required, got None"),
        (lambda v: rf.OneToMany(3, hidden_size=4).generate("abc", 2), TypeError, "prompt: .* no vocabulary"),
        (lambda v: rf.OneToMany(3, hidden_size=4).generate([0], 2, stop="a"), TypeError, "stop: .* no vocabulary"),
        (
            lambda v: rf.OneToMany(vocabulary=v).generate("a", 2, stop="ab"),
            ValueError,
            "stop: .* got 'ab', the text of 2",
        ),
        (lambda v: rf.OneToMany(vocabulary=v).generate("", 2), ValueError, "prompt: at least one element"),
        (lambda v: rf.OneToMany(vocabulary=v).generate("abd", 2), ValueError, "prompt: characters .* got 'd'"),
        (lambda v: rf.OneToMany(vocabulary=v).fit(["ab", "xb"], epochs=1), ValueError, r"sequences\[1\]: .* got 'x'"),
        (lambda v: rf.ManyToOne(3, 2, embedding=2).predict("abc"), TypeError, "x: .* no vocabulary"),
        (lambda v: rf.ManyToOne(3, 2).predict("abc"), TypeError, "x: an array or a list of arrays is required"),
        (
            lambda v: rf.EncoderDecoder(2, task="regression", target_vocabulary=v),
            ValueError,
            "target_vocabulary: None is required for task",
        ),
    ],
)
def test_refusals_of_models(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(Vocabulary("abc"))
