"""The drawings of lesson 01: a release, a layer, the output matrix, the KV cache, and routing.

Numbers in them are those that the lesson's cells print.
"""

from __future__ import annotations

from author.figures.drawing import Drawing


def release() -> Drawing:
    """The parts of a release, and what is mostly missing."""
    drawing = Drawing(720, 290, "The parts of a model release")
    drawing.text(20, 30, "The folder", anchor="start", bold=True)
    drawing.box(20, 42, 420, 228)
    drawing.box(36, 58, 190, 196, "weights\nmodel.safetensors\n538 MB: nearly everything", "blue")
    for place, words in enumerate(
        (
            "configuration\nhow they are arranged",
            "tokenizer\ntext to ids, and back",
            "chat template\na conversation to text",
        )
    ):
        drawing.box(238, 58 + 68 * place, 188, 60, words, "green")
    drawing.text(470, 30, "Comes with it", anchor="start", bold=True)
    drawing.box(470, 42, 230, 50, "model card\nwhat it is, how it was made", "orange")
    drawing.box(470, 100, 230, 50, "licence\nwhat you may do with it", "orange")
    drawing.text(470, 186, "Mostly missing", anchor="start", bold=True)
    drawing.box(470, 198, 230, 32, "the data that it learned from", "ghost")
    drawing.box(470, 238, 230, 32, "the code that trained it", "ghost")
    return drawing


def layer() -> Drawing:
    """One decoder layer, read from left to right, with its two detours."""
    drawing = Drawing(720, 250, "One decoder layer")
    drawing.text(
        20, 30, "One layer of 30: each detour adds something to the vector of every token", anchor="start", bold=True
    )
    y = 190
    drawing.box(12, y - 32, 96, 64, "vectors\none a token\nof 576", "blue")
    drawing.arrow((108, y), (349, y))
    drawing.arrow((140, y), (140, 98), (162, 98))
    drawing.box(164, 64, 156, 68, "attention\nlooks at the tokens\nbefore this one", "orange")
    drawing.arrow((320, 98), (360, 98), (360, y - 12))
    drawing.plus(360, y)
    drawing.arrow((371, y), (589, y))
    drawing.arrow((400, y), (400, 98), (422, 98))
    drawing.box(424, 64, 140, 68, "MLP\nthree matrices, for\neach token alone", "green")
    drawing.arrow((564, 98), (600, 98), (600, y - 12))
    drawing.plus(600, y)
    drawing.arrow((611, y), (628, y))
    drawing.box(630, y - 32, 80, 64, "to the\nnext layer")
    drawing.text(240, y + 24, "the vector goes on as it is", faint=True)
    drawing.text(480, y + 24, "and here again", faint=True)
    return drawing


def tied() -> Drawing:
    """A model whose output uses the embedding once more, and one with a matrix of its own."""
    drawing = Drawing(720, 250, "Tied and untied output matrices")
    for left, name in ((20, "Tied: one matrix, used twice (ours)"), (380, "Untied: two matrices (LLaMA-2-7B)")):
        drawing.text(left, 30, name, anchor="start", bold=True)
        drawing.box(left, 100, 100, 66, "matrix\na row for\neach token", "blue")
        drawing.box(left + 14, 198, 72, 32, "ids")
        drawing.arrow((left + 50, 198), (left + 50, 168))
        drawing.box(left + 140, 118, 74, 48, "layers")
        drawing.arrow((left + 100, 148), (left + 138, 148))
    drawing.arrow((197, 118), (197, 108), (122, 108))
    drawing.box(34, 48, 72, 30, "scores")
    drawing.arrow((70, 100), (70, 80))
    drawing.lines(244, 130, ("the last vector", "goes back"))
    drawing.arrow((594, 142), (612, 142))
    drawing.box(614, 100, 90, 66, "matrix\nof its own", "orange")
    drawing.box(623, 48, 72, 30, "scores")
    drawing.arrow((659, 100), (659, 80))
    drawing.text(500, 219, "131 million numbers more", anchor="start", faint=True)
    return drawing


def kv_cache() -> Drawing:
    """What a layer keeps of each token, without and with a window."""
    words = ("The", "keeper", "wrote", "the", "number", "in", "his", "book")
    drawing = Drawing(720, 340, "The KV cache, whole and with a window of four tokens")
    for top, name, window in (
        (20, "The cache keeps a key and a value for every token", 8),
        (184, "With a window of 4 it forgets what is older", 4),
    ):
        drawing.text(20, top + 14, name, anchor="start", bold=True)
        for place, word in enumerate(words):
            x, kept = 20 + 74 * place, place >= len(words) - window
            drawing.box(x, top + 28, 68, 26, word)
            drawing.box(x, top + 60, 68, 24, "key" if kept else "", "blue" if kept else "ghost")
            drawing.box(x, top + 88, 68, 24, "value" if kept else "", "green" if kept else "ghost")
        drawing.box(630, top + 28, 74, 26, "was", "orange")
        drawing.box(630, top + 60, 74, 24, "query", "orange")
        first = 20 + 74 * (len(words) - window)
        drawing.arrow((667, top + 86), (667, top + 128), (first + 34, top + 128), (first + 34, top + 114))
        drawing.text(654, top + 146, "asks all that are kept", anchor="end", faint=True)
    return drawing


def routing() -> Drawing:
    """A router that sends one token to two of four experts."""
    drawing = Drawing(720, 290, "A router sends a token to two of four experts")
    drawing.text(20, 30, "A layer with four experts, two at work", anchor="start", bold=True)
    drawing.box(20, 122, 96, 44, "one token\nkeeper", "blue")
    drawing.box(160, 116, 110, 56, "router\na score each", "orange")
    drawing.arrow((116, 144), (158, 144))
    for place, share in enumerate((0.452, 0.548, 0, 0)):
        y = 50 + 54 * place
        drawing.box(
            330, y, 150, 42, f"expert {place}\n{'an MLP' if share else 'not at work'}", "green" if share else "ghost"
        )
        if share:
            drawing.arrow((270, 144), (328, y + 21))
            drawing.arrow((480, y + 21), (538, y + 21), (592, 133 if place == 0 else 138))
            drawing.text(512, y + 13, f"× {share}")
    drawing.plus(603, 140)
    drawing.arrow((614, 140), (640, 140))
    drawing.box(642, 116, 62, 48, "sum")
    drawing.text(330, 276, "all four are in memory; two compute", anchor="start", faint=True)
    return drawing


def drawings() -> dict[str, Drawing]:
    """The drawings by the names of their files."""
    return {
        "release": release(),
        "decoder-layer": layer(),
        "tied-and-untied": tied(),
        "kv-cache": kv_cache(),
        "routing": routing(),
    }
