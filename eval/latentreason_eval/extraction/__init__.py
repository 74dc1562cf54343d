"""Answer extraction: a chain of places, one kind of answer, or a paper's legacy rule by name."""
