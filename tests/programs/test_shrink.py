"""Shrinking keeps what fails and drops the rest; scripts run."""

from __future__ import annotations

from .program import Block, Line, Program, Statement, script
from .shrink import shrink


def lines_of(statements: tuple[Statement, ...]) -> list[str]:
    found: list[str] = []
    for statement in statements:
        found += [statement.text] if isinstance(statement, Line) else lines_of(statement.body)
    return found


def test_only_the_statements_that_matter_stay() -> None:
    inner = Block(
        "for i in range(6)",
        (Line("x3 = x1 + i"), Line("x4 = x1 * 2"), Line("x4.tolist()", None, True)),
    )
    outer = Block("with torch.no_grad()", (Line("x5 = x1"), inner))
    program = Program(
        (Line("x1 = 1"), *(Line(f"x9 = {n}") for n in range(20)), outer, Line("x7 = x1"))
    )

    def fails(candidate: Program) -> bool:
        texts = lines_of(candidate.statements)
        return "x1 = 1" in texts and "x4 = x1 * 2" in texts

    small = shrink(program, fails)
    assert fails(small)
    assert lines_of(small.statements) == ["x1 = 1", "x4 = x1 * 2"]
    assert all(isinstance(statement, Line) for statement in small.statements)


def test_a_loop_that_matters_repeats_less() -> None:
    program = Program((Block("for i in range(6)", (Line("x1 = i"), Line("x2 = i"))),))
    small = shrink(program, lambda p: any(isinstance(s, Block) and s.body for s in p.statements))
    assert small.statements == (Block("for i in range(2)", (Line("x1 = i"),)),) or (
        small.statements == (Block("for i in range(2)", (Line("x2 = i"),)),)
    )


def test_scripts_are_python() -> None:
    program = Program(
        (
            Line("x1 = np.array({data})", [1.0, 2.0]),
            Line("def f0(a):\n    return a + 1"),
            Block("for i in range(2)", (Line("x2 = f0(x1) * i"), Line("x3 = x1[7]"))),
            Line("x2.tolist()", None, True),
        )
    )
    text = script(program, module="math", number=1, failing=["x3 = x1[7]"])
    names: dict[str, object] = {}
    exec(compile(text.replace("print('x3', x3)\n", ""), "<script>", "exec"), names)
    assert names["x1"].tolist() == [1.25, 2.25]  # type: ignore[attr-defined]
