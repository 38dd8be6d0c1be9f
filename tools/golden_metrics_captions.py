#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden caption scores and words for tests/metric/captions_test.cpp, by pycocoevalcap (made with 1.2).

usage: golden_metrics_captions.py > tests/metric/golden/captions.json
       golden_metrics_captions.py words > tests/metric/golden/caption_words.json
       golden_metrics_captions.py compare PROGRAM FILE...

The first two draw sentences here: of a small vocabulary with their scores; as people describe a drive, with the words
that the toolkit's PTBTokenizer (a Java program) makes of them and the scores. The last compares the words of other
texts, lines or all strings of JSON files, with those of a program that reads lines and writes their words.
"""
import contextlib
import io
import json
import pathlib
import random
import subprocess
import sys

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

SENTENCES = """
The car's 3.5 m away, isn't it?
I can't see the driver's face; he'd stop if he weren't late.
They're waiting, but we've no time -- let's go.
It won't stop. It'll cross, I'm sure. You'd better brake!
The ego vehicle cannot pass; it's gonna wait.
"Stop!" says the sign (on the left side).
The sign reads 'No parking' and "One way".
“Keep right”, it says, ‘at all times’.
A truck [partly hidden] and a bus {parked} wait...
Wait.... What?! Really!!
A. Stopped. B. Turn left. C. Going ahead. D. Turn right.
The correct answer is A. The car stops at point B. Then it turns.
Choose A. then C. or D.
Option D.
The objects are <c1,CAM_BACK,1088.3,497.5>, <c2,CAM_BACK,864.2,468.3> and <c3,CAM_FRONT,769.2,485.0>.
<ego> turns left at <b>10 km/h</b>. <image> <a b>
5 < 10 and 10 > 5, x = 5, a<b
It drives 10km/h, 30 mph, 12.5 m/s or 0.5-1.0 m/s; that's 36km/h.
Speed: 30 mph. Distance: 1,200 m. Time: 10:30am, 3 p.m., 12:30:05.
A 3.5m wide lane, a 4x4, a 2-lane road, a 45-degree turn, a 20th-century bus.
About 50% of 1/2 mile, 3 1/2 miles, 2½ m, 25°C, ±5 cm, 10 × 20 m.
It costs $5.00, €20, £3, US$4 or ¥100 (#1 of 3).
Mr. Smith's car, Dr. Jones' van, St. Mary's church, Main St., 5th Ave. and Sunset Blvd. are near.
Cars, trucks, etc. are ahead, e.g. a U.S. mail van, i.e. a white one.
The U.S. Then the U.K. is next.
No. 5 is first, no. 6 second. No. It isn't.
See fig. 3, Sec. 2, p. 5, approx. 10 m. vs. 12 m.
On Mon. and Tue., Jan. 5, 2018-07-24, 07/24/2018.
A T-junction, a left-hand turn, a state-of-the-art SUV/pickup, left/right and/or straight on.
a/b/c/d, N/A, km/h, 24/7
It's a BMW X5, an AT&T van and R&D & more.
The '90s van, a 1990's car, rock'n'roll, 'tis o'clock O'Brien's.
Both cars' lights; the buses' stops; James's.
A pedestrian – not a cyclist — crosses the road - slowly -- and then --- stops.
CAM_FRONT_LEFT shows 3 cars; x_y, file.txt, img_01.png and a.b.c.
Visit http://example.com/a?b=c, www.x.com or mail a@b.com.
@user says #stop *now* **please**
:) ;-) :( :D x:y 5:y
yes,no;maybe:so end.Start what?Yes
the dont cant wont
Naïve café Müller's Straße, “€”, → • · ° 🚗
(555) 555-1234 or 555-1234
-5 +5 -3.2 .5 ,5 1.2.3 1-2 3-5m 1st 2nd
The lead vehicle is 10-15 m ahead.
the gotta wanna lemme gimme car
What is the status of the cars that are to the front of the ego car? Two cars are moving, and one is parked.
Yes. No. Unknown.
$100 # 5 % & ~ ^ | \\ / = + @
a.m. p.m. A.M. Ph.D. Jr. Inc. Co. Corp.
there's who's what's she'll he'll it'd they've you're y'all ma'am
"""
PARTS = ["the car's", "a white sedan", "two trucks", "the ego vehicle", "it's", "they're", "he isn't", "we can't", "a bus (parked)",
         "<c1,CAM_FRONT,1300.8,531.7>", "<c2,CAM_BACK_LEFT,864.2,468.3>", "Mr. Lee", "the U.S. truck", "traffic light's", "T-junction",
         "left/right", "10 m", "3.5m", "30 mph", "10km/h", "50%", "1,000", "1/2", "12:30", "A.", "B.", "CAM_FRONT", "and/or", "45-degree",
         "\"stop\"", "'stop'", "“go”", "e.g.", "etc.", "vs.", "No. 5", "'90s", "20th", "$5", "#2", "SUV", "ahead", "on the left",
         "turns", "stops", "yields", "is moving", "There", "The", "It", "cannot", "let's"]
ENDS = [" "] * 8 + [", ", ". ", "; ", ": ", "? ", "! ", " - ", " -- ", "... ", ") ", ".\" "]


def texts():
    draw = random.Random(5)
    lines = [line for line in SENTENCES.split("\n") if line]
    while len(lines) < 300:
        lines.append("".join(draw.choice(PARTS) + draw.choice(ENDS) for _ in range(draw.randint(3, 12))).strip())
    return lines


def treebank(lines):
    """The words of lines, and what the scores make of them: they split at every blank."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
    words = PTBTokenizer().tokenize({i: [{"caption": line}] for i, line in enumerate(lines)})
    return [words[i][0].split() for i in range(len(lines))]


def words():
    lines = texts()
    split = treebank(lines)
    # Scores: every third line is said, the next two are what may be said.
    said = {i: [" ".join(split[i])] for i in range(0, len(lines), 3)}
    wanted = {i: [" ".join(split[i + 1]), " ".join(split[i + 2][:3] + split[i])] for i in range(0, len(lines), 3)}
    with contextlib.redirect_stdout(io.StringIO()):
        cider = Cider().compute_score(wanted, said)
    json.dump({"texts": lines, "words": [" ".join(w) for w in split], "cider_of_words": float(cider[0])}, sys.stdout, indent=0,
              ensure_ascii=False)
    print()


def strings(value):
    if isinstance(value, str):
        yield value.replace("\n", " ")
    for v in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from strings(v)


def compare(program, files):
    lines = []
    for path in map(pathlib.Path, files):
        text = path.read_text()
        lines += list(strings(json.loads(text))) if path.suffix == ".json" else text.splitlines()
    lines = [line for line in dict.fromkeys(lines) if line.strip()]
    ours = subprocess.run([program], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")
    different = 0
    for line, a, b in zip(lines, ours, treebank(lines)):
        if a.split() != b:
            different += 1
            print(f"{line!r}\n  ours   {a.split()}\n  theirs {b}")
    print(f"{len(lines)} texts, {different} differ")


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
    if sys.argv[1:] == ["words"]:
        words()
    elif sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2], sys.argv[3:])
    else:
        main()
