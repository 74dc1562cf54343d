"""Made-up words of ProsQA (2412.06769) and ProntoQA (2210.01240), as released."""

from __future__ import annotations

_PROSQA_ENTITIES = (
    "Alex Bob Carol Davis Eva Fae Gabriel Jack Max Oliver Polly Rex Sally Sam Stella Tom Wren"
)
_PROSQA_CONCEPTS = (
    "bompus boompus brimpus chorpus dumpus felpus fompus gerpus gorpus grimpus gwompus hilpus "
    "impus jelpus jompus kerpus lempus lorpus numpus quimpus rempus rompus rorpus scrompus shumpus "
    "sterpus storpus terpus timpus tumpus vumpus worpus wumpus yerpus yimpus yumpus zhorpus zumpus"
)
_PRONTOQA_ENTITIES = "Alex Fae Max Polly Rex Sally Sam Stella Wren"
_PRONTOQA_CONCEPTS = (
    "brimpus dumpus gorpus grimpus impus jompus lempus lorpus numpus rompus shumpus sterpus tumpus "
    "vumpus wumpus yumpus zumpus"
)

PROSQA_ENTITIES = tuple(_PROSQA_ENTITIES.split())
PROSQA_CONCEPTS = tuple(_PROSQA_CONCEPTS.split())
PRONTOQA_ENTITIES = tuple(_PRONTOQA_ENTITIES.split())
PRONTOQA_CONCEPTS = tuple(_PRONTOQA_CONCEPTS.split())
