"""What each stage costs, beside a plain way of doing the same in the same run.

    python -m benchmarks                    # every subject, small sizes (`make bench`)
    python -m benchmarks inference --full   # one subject, real sizes (1280 x 800)
    python -m benchmarks training --plain   # the plain way alone
    python -m benchmarks --page             # docs/performance.md from benchmarks/results/
    python -m benchmarks.switches --help    # what each switch of the config does to AP
    python -m benchmarks.parity --help      # how close the numbers are to the published ones

`measure` says how times are taken; a module per subject says what is done.
"""
