"""Changes one place in a Python source: `mutate.py FILE SEED [KIND]...` prints a JSON object with the new text and what was changed.

Of the kinds that are named the first is taken that the file has a place for, and before them one that isn't named.
Candidates are found in the syntax tree, and exactly the text of the chosen node is replaced, so that nothing else of the file changes.
"""

import ast
import json
import random
import sys

SWAPS = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: ">=",
    ast.GtE: "<",
    ast.Gt: "<=",
    ast.LtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}


def main(path, seed, *last):
    with open(path, encoding="utf-8", newline="") as file:
        source = file.read()
    tree = ast.parse(source)
    starts = [0]
    data = source.encode()
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def span(node):
        return (starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset)

    def text(node):
        begin, end = span(node)
        return data[begin:end].decode()

    found = {}

    def add(kind, node, begin, end, new):
        found.setdefault(kind, []).append((node.lineno, begin, end, new))

    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
    joined = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in joined:
            continue
        if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
            add("operator", node, span(node.left)[1], span(node.right)[0], f" {SWAPS[type(node.op)]} ")
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
            add("operator", node, span(node.left)[1], span(node.comparators[0])[0], f" {SWAPS[type(node.ops[0])]} ")
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, bool):
                add("constant", node, *span(node), str(not node.value))
            elif isinstance(node.value, (int, float)):
                add("constant", node, *span(node), repr(node.value + 1))
            elif isinstance(node.value, str) and node.value and text(node)[:1] in "'\"":
                add("constant", node, *span(node), repr(node.value + "x"))
        if isinstance(node, (ast.If, ast.While, ast.IfExp)):
            add("condition", node, *span(node.test), f"(not ({text(node.test)}))")
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for default in node.args.defaults:
                add("default", node, *span(default), "None" if text(default) != "None" else "0")
            for statement in node.body:
                if isinstance(statement, (ast.Assign, ast.AugAssign, ast.Return, ast.Raise)) or (
                    isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
                ):
                    add("deleted statement", statement, *span(statement), "pass")
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            for decorator in node.decorator_list:
                begin, end = span(decorator)
                add("decorator", decorator, begin - 1, end, "# removed")
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
                    add("class attribute", statement, *span(statement.value), "None")
    pick = random.Random(int(seed))
    if not found:
        raise SystemExit("nothing to change")
    unnamed = sorted(set(found).difference(last))
    kind = pick.choice(unnamed) if unnamed else next(kind for kind in last if kind in found)
    line, begin, end, new = pick.choice(found[kind])
    changed = data[:begin] + new.encode() + data[end:]
    json.dump({"kind": kind, "line": line, "text": changed.decode()}, sys.stdout)


main(*sys.argv[1:])
