#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden caption scores for tests/metric/captions_test.cpp, by pycocoevalcap (made with 1.2).

usage: golden_metrics_captions.py > tests/metric/golden/captions.json

Sentences of a small vocabulary, drawn here; the file holds them with their scores.
"""
import contextlib
import io
import json
import random
import sys

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

WORDS = "the a car truck is left right ahead of stopped moving lane turns and bus pedestrian crosses slowly there no".split()


def main():
    draw = random.Random(7)
    captions = []
    for _ in range(30):
        truth = [draw.choice(WORDS) for _ in range(draw.randint(3, 14))]
        references = [truth] + [[w if draw.random() < 0.7 else draw.choice(WORDS) for w in truth][:draw.randint(2, 14)]
                                for _ in range(draw.randint(0, 2))]
        said = [w if draw.random() < 0.8 else draw.choice(WORDS) for w in truth][:draw.randint(1, 14)]
        captions.append({"prediction": " ".join(said), "references": [" ".join(r) for r in references]})
    captions[3]["prediction"] = "zebra unknown words only here"
    captions[4]["prediction"] = captions[4]["references"][0]
    wanted = {i: c["references"] for i, c in enumerate(captions)}
    said = {i: [c["prediction"]] for i, c in enumerate(captions)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, cider, rouge = Bleu(4).compute_score(wanted, said), Cider().compute_score(wanted, said), Rouge().compute_score(wanted, said)
    json.dump({"captions": captions, "bleu": bleu[0], "cider": float(cider[0]), "cider_of": cider[1].tolist(),
               "rouge_l": float(rouge[0]), "rouge_l_of": rouge[1].tolist()}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
