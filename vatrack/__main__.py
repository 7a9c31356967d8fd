"""`python -m vatrack` is the same as `vatrack`."""

from vatrack.cli import main

main()
