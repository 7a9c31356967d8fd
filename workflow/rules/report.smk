# Metrics of all runs -> tables, curves, overlays, clips -> a page about the results.


localrules:
    report,
    provenance,


rule tables:
    input:
        metrics=plan.per_run(plan.files.metrics),
        details=plan.per_run(plan.files.details),
    output:
        report(
            f"{R}/tables/tables.html",
            caption="../report/tables.rst",
            category="Tables",
            labels={"table": "all tables", "form": "page"},
        ),
        [
            report(
                f"{R}/tables/{table}.csv",
                caption="../report/tables.rst",
                category="Tables",
                labels={"table": table.replace("_", " "), "form": "CSV"},
            )
            for table in TABLES + CLASS_TABLES + VIDEO_TABLES
        ],
        expand(
            f"{R}/tables/{{table}}.{{suffix}}", table=TABLES + CLASS_TABLES, suffix=["md", "tex"]
        ),
        expand(f"{R}/tables/{{table}}.md", table=VIDEO_TABLES),
    log:
        f"{R}/logs/tables.log",
    benchmark:
        f"{R}/benchmarks/tables.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        rows=plan.run_options,
        means=plan.mean_option,
        out=subpath(output[0], parent=True),
    message:
        "writing the tables"
    shell:
        "vatrack tables {params.rows} {params.means} --out {params.out:q} > {log:q} 2>&1"


rule figures:
    input:
        plan.per_run(plan.files.training),
    output:
        [
            report(
                f"{R}/figures/{figure}.svg",
                caption="../report/figures.rst",
                category="Curves",
                labels={"curves": figure.replace("_", " ")},
            )
            for figure in FIGURES
        ],
    log:
        f"{R}/logs/figures.log",
    benchmark:
        f"{R}/benchmarks/figures.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        runs=plan.run_options,
        out=subpath(output[0], parent=True),
    message:
        "plotting the training curves"
    shell:
        "vatrack figures {params.runs} --out {params.out:q} > {log:q} 2>&1"


rule overlay:
    input:
        predictions=rules.predict.output,
        ground_truth=f"{R}/annotations/valid/joint.json",
        images=FRAMES,
    output:
        sheet=report(
            plan.files.overlay,
            caption="../report/overlay.rst",
            category="Overlays",
            labels={
                "method": "{method}",
                "backbone": "{backbone}{variant}",
                "form": "sheet",
            },
        ),
        video=report(
            plan.files.overlay_video,
            caption="../report/overlay.rst",
            category="Overlays",
            labels={
                "method": "{method}",
                "backbone": "{backbone}{variant}",
                "form": "video",
            },
        ),
    log:
        f"{R}/logs/overlay/{RUN}.log",
    benchmark:
        f"{R}/benchmarks/overlay/{RUN}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    message:
        "drawing predictions of {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
    shell:
        "vatrack overlay --ground-truth {input.ground_truth:q} --predictions {input.predictions:q}"
        " --images {input.images:q} --out {output.sheet:q} --video {output.video:q} > {log:q} 2>&1"


rule views:
    input:
        predictions=rules.predict.output,
        details=plan.files.details,
        ground_truth=f"{R}/annotations/valid/joint.json",
        images=FRAMES,
    output:
        directory(plan.files.views),
    log:
        f"{R}/logs/views/{RUN}.log",
    benchmark:
        f"{R}/benchmarks/views/{RUN}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    message:
        "drawing clips of {wildcards.method} with {wildcards.backbone}{wildcards.variant} for the"
        " report"
    shell:
        "vatrack views --ground-truth {input.ground_truth:q} --predictions {input.predictions:q}"
        " --details {input.details:q} --images {input.images:q} --out {output:q} > {log:q} 2>&1"


rule report:
    input:
        plan.results,
        cut_sheets,
        provenance=f"{R}/provenance.html",
    output:
        f"{R}/report.html",
    log:
        f"{R}/logs/report.log",
    benchmark:
        f"{R}/benchmarks/report.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        runs=plan.run_options,
        means=plan.mean_option,
        results=subpath(output[0], parent=True),
    message:
        "writing the report"
    shell:
        "vatrack report {params.runs} {params.means} --results {params.results:q}"
        " --out {output:q} > {log:q} 2>&1"


# Snakemake's own report, which tells how each file was made: a second, read-only Snakemake collects
# what the rules above made (target `results`).
rule provenance:
    input:
        plan.results,
        cut_sheets,
    output:
        f"{R}/provenance.html",
    log:
        f"{R}/logs/provenance.log",
    benchmark:
        f"{R}/benchmarks/provenance.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        config=plan.config_file,
        snakefile=main_snakefile,
    message:
        "writing the provenance report"
    shell:
        "env -u SNAKEMAKE_PROFILE snakemake results --snakefile {params.snakefile:q}"
        " --configfile {params.config:q} --workflow-profile none"
        " --report {output:q} > {log:q} 2>&1"
