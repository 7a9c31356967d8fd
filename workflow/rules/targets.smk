# What else is asked for by name; these rules only collect.


localrules:
    results,
    annotations,


rule results:  # everything but the report itself
    input:
        plan.results,
        cut_sheets,
    message:
        "all results but the report"


rule annotations:  # the data alone: checked, cut, converted, with the sheets that show the cuts
    input:
        cut_sheets,
        FRAMES,
        expand(ANNOTATIONS, subset=["train", "valid"]),
    message:
        "clips and annotations"
