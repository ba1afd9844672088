"""What R prints, read back: blocks of cells, each with its text, its place and the interval it stands for.

    reading = read([Line(1, "[1] 0.156798")])
    cell = reading.blocks[0].cells[-1]        # value[1]
    cell.number.holds(0.15679803458)          # True: it rounds to the printed text

Nothing here fits a model or knows a value: what a cell should be is asked by compat.transcript.
"""

from compat.published.numbers import Printed, Sort, read_number
from compat.published.page import Block, Line, PrintedCell, Token, numbers_of
from compat.published.read import Reading, read

__all__ = [
    "Block", "Line", "Printed", "PrintedCell", "Reading", "Sort", "Token", "numbers_of", "read", "read_number"
]  # fmt: skip
