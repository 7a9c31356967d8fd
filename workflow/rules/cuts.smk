# Frames -> where videos are cut into clips -> sheets that show it.


rule cut_scores:
    input:
        raw=RAW,
        index=rules.index.output,
    output:
        plan.scores(plan.cut_jobs.videos),
    log:
        f"{R}/logs/{plan.cut_jobs.name('cut_scores')}.log",
    benchmark:
        f"{R}/benchmarks/{plan.cut_jobs.name('cut_scores')}.tsv"
    group:
        plan.cut_jobs.group("cut_scores")
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        raw=plan.raw_tree,
        target=plan.cut_jobs.target,
    message:
        f"measuring content scores of {plan.cut_jobs.shown}"
    shell:
        "vatrack cuts score --raw {params.raw:q} --index {input.index:q}"
        " --threads {threads} {params.target} > {log:q} 2>&1"


# Where the file is there already the rule does not exist: Snakemake would remove it before a new
# attempt.
if plan.dataset.clips.fetch and not os.path.exists(plan.given_structure[0]):

    # On the machine of Snakemake: the nodes of a cluster often reach no network.
    localrules:
        fetch_cuts,

    rule fetch_cuts:
        output:
            plan.given_structure,
        log:
            f"{R}/logs/fetch_cuts.log",
        benchmark:
            f"{R}/benchmarks/fetch_cuts.tsv"
        conda:
            "../../envs/vatrack.yaml"
        threads: 1
        resources:
            mem_mb=500,
            runtime=30,
        params:
            url=plan.dataset.clips.download.url,
            size=plan.dataset.clips.download.size,
            sha256=plan.dataset.clips.download.sha256,
        message:
            "downloading the clip dictionary from {params.url}"
        shell:
            "vatrack fetch --url {params.url:q} --size {params.size} --sha256 {params.sha256}"
            " --out {output:q} > {log:q} 2>&1"


rule cut_structure:
    input:
        index=rules.index.output,
        scores=scores,
        given=plan.given_structure,
    output:
        ensure(f"{R}/cuts/structure.json", non_empty=True),
    log:
        f"{R}/logs/cut_structure.log",
    benchmark:
        f"{R}/benchmarks/cut_structure.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        config=plan.config_file,
        scores=plan.scores_option,
        settings=plan.cut_settings(),
    message:
        "cutting videos into clips"
    shell:
        "vatrack cuts structure --config {params.config:q}"
        " --index {input.index:q} {params.scores} --out {output:q} > {log:q} 2>&1"


rule cut_sheet:
    input:
        raw=RAW,
        index=rules.index.output,
        structure=rules.cut_structure.output,
        scores=rules.cut_scores.output if plan.measure else [],
    output:
        [
            report(
                sheet,
                caption="../report/cuts.rst",
                category="Cuts",
                labels={"video": video},
            )
            for video, sheet in zip(plan.cut_jobs.videos, plan.cut_sheets(plan.cut_jobs.videos))
        ],
    log:
        f"{R}/logs/{plan.cut_jobs.name('cut_sheet')}.log",
    benchmark:
        f"{R}/benchmarks/{plan.cut_jobs.name('cut_sheet')}.tsv"
    group:
        plan.cut_jobs.group("cut_sheet")
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        raw=plan.raw_tree,
        curve=plan.curve_options,
        target=plan.cut_jobs.target,
    message:
        f"drawing the clips of {plan.cut_jobs.shown}"
    shell:
        "vatrack cuts sheet --raw {params.raw:q} --index {input.index:q}"
        " --structure {input.structure:q}"
        " {params.curve} {params.target} > {log:q} 2>&1"
