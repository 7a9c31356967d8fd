# Annotations -> checkpoints -> the best checkpoint.


# Both run on the machine of Snakemake: the nodes of a cluster often reach no network; and training
# only starts the job (with submitit), waits for it and shows its log.
localrules:
    fetch_weights,
    train,


# Runs only when it is asked for: it has no output, so that no other rule needs it.
rule fetch_weights:
    log:
        f"{R}/logs/fetch_weights.log",
    benchmark:
        f"{R}/benchmarks/fetch_weights.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=120,
    params:
        config=plan.config_file,
    message:
        "downloading initial weights"
    shell:
        "vatrack fetch-weights --config {params.config:q} 2>&1 | tee -i {log:q}"


rule train:
    input:
        annotations=annotations_of,
        images=FRAMES,
        weights=start_weights,
    output:
        ensure(plan.files.training, non_empty=True),
    log:
        f"{R}/logs/train/{RUN}.log",
    benchmark:
        f"{R}/benchmarks/train/{RUN}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.train_threads
    resources:
        mem_mb=plan.train_memory,
        gpu=plan.train_gpus,
        runtime=plan.config.launcher.minutes,
    params:
        config=plan.config_file,
        annotations=subpath(input[0], ancestor=2),
        run=subpath(output[0], parent=True),
        settings=plan.training_settings,
        # Also --seed. Its name is part of the command: another one would repeat all trainings.
        slurm=plan.launch_options,
    message:
        "training {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
    shell:
        "vatrack launch --config {params.config:q} --method {wildcards.method}"
        " --backbone {wildcards.backbone}"
        " --annotations {params.annotations:q} --images {input.images:q}"
        " --out {params.run:q} {params.slurm}"
        " > {log:q} 2>&1"


rule select:
    input:
        rules.train.output,
    output:
        best=ensure(plan.files.selection, non_empty=True),
        # Not protected(): Snakemake would refuse to choose again after a change of the config.
        checkpoint=ensure(plan.files.best_checkpoint, non_empty=True),
    log:
        f"{R}/logs/select/{RUN}.log",
    benchmark:
        f"{R}/benchmarks/select/{RUN}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        config=plan.config_file,
        run=subpath(input[0], parent=True),
        settings=plan.settings("selection"),
    message:
        "selecting the best checkpoint of {wildcards.method} with"
        " {wildcards.backbone}{wildcards.variant}"
    shell:
        "vatrack select --run {params.run:q} --config {params.config:q} --out {output.best:q}"
        " > {log:q} 2>&1"
