"""Arithmetic in a model's output: steps "a-b=c" and single expressions, parsed exactly."""

from __future__ import annotations

import ast
import re
from collections import Counter
from fractions import Fraction

from latentreason.data.generators.countdown import parse_chain

_WORDS = (
    ("\\times", "*"),
    ("\\cdot", "*"),
    ("\\div", "/"),
    ("\\left", ""),
    ("\\right", ""),
    ("×", "*"),
    ("·", "*"),
    ("÷", "/"),
    ("−", "-"),
    ("–", "-"),
    ("\\(", ""),
    ("\\)", ""),
    ("$", ""),
)


def ascii_operators(text: str) -> str:
    """Return `text` with LaTeX and typographic operators replaced by + - * /."""
    for word, sign in _WORDS:
        text = text.replace(word, sign)
    return re.sub(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", text)


def plain_arithmetic(text: str) -> str:
    """Return arithmetic in ASCII without blanks."""
    return re.sub(r"\s+", "", ascii_operators(text))


def parse_steps(text: str) -> list[tuple[int, str, int, int]] | None:
    """Return [(a, op, b, result), ...] of "a-b=c,c*d=e", or None where it is not such a chain."""
    return parse_chain(re.split(r"[,;]", plain_arithmetic(text).strip(",;.")))


class ExpressionError(ValueError):
    """The text is not an expression of numbers, + - * / and brackets."""


def evaluate(expression: str) -> tuple[Fraction, Counter[int]]:
    """Return the exact value of an expression and the multiset of the numbers in it.

    Raises:
        ExpressionError: it holds anything else, divides by zero, or is too long to be an answer.
    """
    text = plain_arithmetic(expression)
    if len(text) > 200 or not re.fullmatch(r"[-+*/()\d.]+", text) or "**" in text or "//" in text:
        raise ExpressionError(f"{expression!r} is not an expression")
    numbers: Counter[int] = Counter()
    try:
        tree = ast.parse(text, mode="eval").body
        return _value(tree, numbers), numbers
    except (SyntaxError, ZeroDivisionError, RecursionError) as error:
        raise ExpressionError(f"{expression!r}: {error}") from error


def canonical(expression: str) -> str:
    """Return one spelling for expressions that differ only in the order of sums and products."""
    try:
        return _spell(ast.parse(plain_arithmetic(expression), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return plain_arithmetic(expression)


def _value(node: ast.expr, numbers: Counter[int]) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = Fraction(str(node.value))
        if value.denominator == 1:
            numbers[int(value)] += 1
        else:
            raise ExpressionError(f"{node.value} is not a whole number")
        return value
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, numbers), _value(node.right, numbers)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
    raise ExpressionError("only + - * / of numbers are allowed")


def _spell(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Add | ast.Mult):
            sign = "+" if isinstance(node.op, ast.Add) else "*"
            return f"({sign.join(sorted(_terms(node, type(node.op))))})"
        if isinstance(node.op, ast.Sub | ast.Div):
            sign = "-" if isinstance(node.op, ast.Sub) else "/"
            return f"({_spell(node.left)}{sign}{_spell(node.right)})"
    raise ExpressionError("only + - * / of numbers are allowed")


def _terms(node: ast.expr, operator: type) -> list[str]:
    """The operands of a chain of one commutative operator."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, operator):
        return _terms(node.left, operator) + _terms(node.right, operator)
    return [_spell(node)]
