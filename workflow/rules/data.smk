# Raw frames -> checked and listed frames.


rule synth:
    output:
        directory(f"{R}/raw"),
    log:
        f"{R}/logs/synth.log",
    benchmark:
        f"{R}/benchmarks/synth.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(2)
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        config=plan.config_file,
        settings=plan.settings("seed", "dataset.synthetic"),
    message:
        "rendering the miniature dataset in SAIL-VOS's raw layout"
    shell:
        "vatrack synth --config {params.config:q} --processes {threads} --out {output:q} > {log:q} 2>&1"


if plan.archives:

    checkpoint unpack:
        input:
            plan.archives,
        output:
            plan.unpacked,
        log:
            f"{R}/logs/unpack.log",
        benchmark:
            f"{R}/benchmarks/unpack.tsv"
        conda:
            "../../envs/vatrack.yaml"
        threads: 2
        resources:
            mem_mb=1000,
            runtime=1440,
        params:
            config=plan.config_file,
            raw=raw_folder,
            # Not the checksums: writing them down later is no reason to unpack again.
            settings=[plan.archives, plan.dataset.archive_strip],
        message:
            "unpacking {input}"
        shell:
            "vatrack unpack --config {params.config:q} --out {params.raw:q} --workers {threads} --record {output:q} > {log:q} 2>&1"


# Stops before hours of work are wasted; the report stays where it is when the rule fails. Its settings are not among the
# params: data that have passed need not pass again, and all that follows would be repeated.
rule validate:
    input:
        raw=RAW,
        official=official_files,
    output:
        touch(f"{R}/validated"),
    log:
        f"{R}/logs/validate.log",
    benchmark:
        f"{R}/benchmarks/validate.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(2)
    resources:
        mem_mb=3000,
        runtime=720,
    params:
        raw=raw_folder,
        config=plan.config_file,
        # Not an output: Snakemake would remove it when data are bad, just when it is wanted.
        report=f"{R}/validation.json",
        train=plan.train_json,
        valid=plan.valid_json,
    message:
        "checking the raw frames and their annotations"
    shell:
        "vatrack validate --config {params.config:q} --raw {params.raw:q} --train {params.train:q} --valid {params.valid:q}"
        " --processes {threads} --out {params.report:q} > {log:q} 2>&1"


rule index:
    input:
        raw=RAW,
        official=official_files,
        validated=rules.validate.output,
    output:
        ensure(f"{R}/index.json", non_empty=True),
    log:
        f"{R}/logs/index.log",
    benchmark:
        f"{R}/benchmarks/index.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        raw=raw_folder,
        train=plan.train_json,
        valid=plan.valid_json,
    message:
        "listing the annotated frames of every video"
    shell:
        "vatrack index --raw {params.raw:q} --train {params.train:q} --valid {params.valid:q} --out {output:q} > {log:q} 2>&1"
