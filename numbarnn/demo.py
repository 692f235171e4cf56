"""English spelling to sound: a trained GRU encoder-decoder, run on a ragged batch of words.

The weights are those of the package g2p-en (2.1.0). A word's letters pass through an encoder; its final
state is all the decoder knows of the word. The decoder speaks one phoneme a step, each fed back as its next
input, until it says `</s>`. All words of a batch are encoded in one ragged call and spoken side by side; a
word that has ended leaves the batch. `PlainLoop` is the same model as g2p-en runs it, word by word in plain
NumPy: what results and speed are compared with.
"""

import codecs
import contextlib
import importlib.util
import io
import re
import statistics
import time
import unicodedata
from pathlib import Path

import numpy as np

import numbarnn as nr
from numbarnn import terminal, weights

LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
PHONEMES = """
    <pad> <unk> <s> </s> AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B
    CH D DH EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1
    OW2 OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH
""".split()
UNKNOWN_LETTER, END_OF_WORD = LETTERS.index("<unk>"), LETTERS.index("</s>")
START, END = PHONEMES.index("<s>"), PHONEMES.index("</s>")
LETTER_NUMBER = {letter: number for number, letter in enumerate(LETTERS)}
GRU_WEIGHTS = "w_ih", "w_hh", "b_ih", "b_hh"
MAX_PHONEMES = 20
BATCH = 256  # enough rows to fill every core; small enough for a progress bar to move

# Letters and digits, with combining accents and inner apostrophes.
TOKEN = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f]|['’](?=[^\W_]))*")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")


def load_model():
    """Read g2p-en's weights from the installed package, without importing it: its import downloads things.

    Returns
    -------
    dict of str to ndarray
        float32, in PyTorch's layout (gate order r, z, n). With `enc_` and with `dec_` before the name:
        `emb` (symbols, I), `w_ih` (3H, I), `w_hh` (3H, H), `b_ih` and `b_hh` (3H,). Then `fc_w`
        (phonemes, H) and `fc_b` (phonemes,), which read phonemes off the decoder's state.

    Raises
    ------
    ModuleNotFoundError
        If g2p-en is not installed.
    """
    spec = importlib.util.find_spec("g2p_en")
    if spec is None:
        raise ModuleNotFoundError(
            "the demo's trained weights are in the package g2p-en, which is not installed; "
            "run `make demo`, or `pip install --no-deps g2p-en` (the demo needs none of its dependencies)",
            name="g2p_en",
        )
    with np.load(Path(spec.origin).with_name("checkpoint20.npz")) as checkpoint:
        return dict(checkpoint)


def default_text():
    """The Zen of Python, without the printing that importing it does."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return codecs.decode(this.s, "rot13")


def split(line):
    """Cut a line into tokens, each with the word to pronounce, or None where the model knows no such letters.

    Case and accents are dropped (`Café` is read as `cafe`). An apostrophe inside a word stays: the model
    reads it as its unknown letter, as g2p-en does. A token that still has a digit or a letter outside a to z
    (`3rd`, `straße`, `мир`) is not guessed at.

    Examples
    --------
    >>> split("Isn’t café 42?")
    [('Isn’t', "isn't"), ('café', 'cafe'), ('42', None)]
    """
    pairs = []
    for token in TOKEN.findall(line):
        decomposed = unicodedata.normalize("NFD", token.lower().replace("’", "'"))
        word = "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")
        pairs.append((token, word if WORD.fullmatch(word) else None))
    return pairs


def letter_numbers(word):
    """The model's numbers for a word's letters, end marker included."""
    return [LETTER_NUMBER.get(letter, UNKNOWN_LETTER) for letter in word] + [END_OF_WORD]


class Batched:
    """The model on numbarnn: every word of a batch at once.

    Parameters
    ----------
    model : dict of str to ndarray
        What `load_model` returns.
    """

    def __init__(self, model):
        self.letters, self.phonemes = model["enc_emb"], model["dec_emb"]
        self.readout = self._linear(model["fc_w"], model["fc_b"])
        self.encoder, self.decoder = self._gru(model, "enc"), self._gru(model, "dec")

    @staticmethod
    def _gru(model, part):
        w_ih, w_hh, b_ih, b_hh = (model[f"{part}_{name}"] for name in GRU_WEIGHTS)
        layer = nr.GRU(w_hh.shape[1], reset_after=True)
        layer.build(w_ih.shape[1])
        layer.set_weights(weights.from_torch("gru", w_ih, w_hh, b_ih, b_hh))
        return layer

    @staticmethod
    def _linear(weight, bias):
        """A linear layer: a cell without activation whose past has no weight.

        NumPy's product would wake its own threads for each of these small steps.
        """
        cell = nr.SimpleRNNCell(len(weight), activation=None)
        cell.set_weights([weight.T, np.zeros((len(weight), len(weight)), np.float32), bias])
        return cell

    def __call__(self, words):
        """Pronounce words: a list of phoneme lists, in the same order."""
        return self.decode(self.encode(words)) if words else []

    def encode(self, words):
        """The encoder's final state of each word, (words, units)."""
        numbers = [letter_numbers(word) for word in words]
        offsets = np.cumsum([0, *map(len, numbers)])
        return self.encoder(nr.Ragged(self.letters[np.concatenate(numbers)], offsets))

    def decode(self, state):
        """Speak from the states (words, units); row i is spoken until its END, then leaves the batch."""
        spoken = np.full((len(state), MAX_PHONEMES), END)
        rows, last = np.arange(len(state)), np.full(len(state), START)
        for step in range(MAX_PHONEMES):
            _, [state] = self.decoder.cell(self.phonemes[last], [state])
            scores, _ = self.readout(state, self.readout.get_initial_state(len(state)))
            last = scores.argmax(axis=1)
            unfinished = last != END
            rows, last, state = rows[unfinished], last[unfinished], state[unfinished]
            if not rows.size:
                break
            spoken[rows, step] = last
        return [[PHONEMES[number] for number in row if number != END] for row in spoken.tolist()]


class PlainLoop:
    """The model in plain NumPy, word after word and letter after letter. Made and called like `Batched`."""

    def __init__(self, model):
        self.model = model

    def __call__(self, words):
        return [self.pronounce(word) for word in words]

    def pronounce(self, word):
        model = self.model
        state = np.zeros((1, model["enc_w_hh"].shape[1]), np.float32)
        for number in letter_numbers(word):
            state = self.step("enc", number, state)
        spoken, last = [], START
        for _ in range(MAX_PHONEMES):
            state = self.step("dec", last, state)
            last = int((state @ model["fc_w"].T + model["fc_b"]).argmax())
            if last == END:
                break
            spoken.append(PHONEMES[last])
        return spoken

    def step(self, part, number, state):
        """One GRU step of the encoder ("enc") or decoder ("dec") on the symbol of that number."""
        w_ih, w_hh, b_ih, b_hh = (self.model[f"{part}_{name}"] for name in GRU_WEIGHTS)
        from_x = self.model[f"{part}_emb"][[number]] @ w_ih.T + b_ih
        from_h = state @ w_hh.T + b_hh
        H = state.shape[1]
        gates = 1 / (1 + np.exp(-(from_x[:, : 2 * H] + from_h[:, : 2 * H])))
        reset, update = gates[:, :H], gates[:, H:]
        candidate = np.tanh(from_x[:, 2 * H :] + reset * from_h[:, 2 * H :])
        return (1 - update) * candidate + update * state


def timed(pronounce, words, label):
    """Pronounce all words, over and over for a quarter of a second: phonemes, median seconds of a pass."""
    seconds, deadline = [], time.perf_counter() + 0.25
    batches = [words[start : start + BATCH] for start in range(0, len(words), BATCH)]
    while not seconds or time.perf_counter() < deadline:
        start = time.perf_counter()
        spoken = [phonemes for batch in terminal.track(batches, label) for phonemes in pronounce(batch)]
        seconds.append(time.perf_counter() - start)
    return spoken, statistics.median(seconds)


def run(text):
    """Pronounce every distinct word of a text, with numbarnn and with the plain loop, and compare.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict
        `words` {word: [phonemes]} as numbarnn says them, and `not_pronounced` [token]. Where there are words
        also `different` [word], those that the plain loop says otherwise, and `identical`, the share of the
        rest; `words_per_second` and `plain_words_per_second`; `first_call_seconds`, what the first word took,
        with the kernels compiled or loaded.

    Raises
    ------
    ModuleNotFoundError
        If g2p-en is not installed.
    """
    model = load_model()
    pairs = split(text)
    words = list(dict.fromkeys(word for _, word in pairs if word))
    report = {"words": {}, "not_pronounced": list(dict.fromkeys(token for token, word in pairs if not word))}
    if not words:
        return report

    batched = Batched(model)
    start = time.perf_counter()
    nr.warmup(batched.encoder)  # also what one word does not need: ragged batches, several threads
    batched(words[:1])
    first_call_seconds = time.perf_counter() - start
    spoken, seconds = timed(batched, words, "numbarnn")
    plain, plain_seconds = timed(PlainLoop(model), words, "plain NumPy")
    different = [words[i] for i in range(len(words)) if spoken[i] != plain[i]]
    return report | {
        "words": dict(zip(words, spoken, strict=True)),
        "different": different,
        "identical": 1 - len(different) / len(words),
        "words_per_second": len(words) / seconds,
        "plain_words_per_second": len(words) / plain_seconds,
        "first_call_seconds": first_call_seconds,
    }


def show(text, report):
    """Print each line of the text with its phonemes below it, then the figures of `run`'s report."""
    for line in text.splitlines():
        terminal.write(line)
        spoken = [" ".join(report["words"][word]) if word else f"[{token}]" for token, word in split(line)]
        if spoken:
            terminal.write("    " + " | ".join(spoken), style="cyan")
    terminal.write("")
    if report["not_pronounced"]:
        count = len(report["not_pronounced"])
        terminal.write(f"In brackets: {count} not pronounced, the model knows the letters a to z only.")
    if not report["words"]:
        terminal.write("No words to pronounce.")
        return
    count, same = len(report["words"]), len(report["words"]) - len(report["different"])
    ours, plain = report["words_per_second"], report["plain_words_per_second"]
    terminal.write(f"{count:,} distinct words in ARPAbet; a digit is the stress of its vowel.")
    terminal.write(f"numbarnn    {ours:>10,.0f} words/s   {ours / plain:.1f} times the plain loop", "bold")
    terminal.write(f"plain NumPy {plain:>10,.0f} words/s   word by word, as g2p-en does")
    terminal.write(f"identical   {same:>10,} of {count:,} words")
    terminal.write(f"first call  {report['first_call_seconds']:>10.2f} s   compiles or loads the kernels")
