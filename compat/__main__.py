"""`python -m compat`: the command line, for where the script `rcompat` is not on the path."""

from compat.cli import app

if __name__ == "__main__":
    app(prog_name="rcompat")
