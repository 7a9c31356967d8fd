# Annotations -> checkpoints -> the best checkpoint.


# Runs on the machine of Snakemake, because it only starts the job (with submitit), waits for it and shows its log.
localrules:
    train,


rule train:
    input:
        annotations=expand(
            f"{R}/annotations/{{subset}}/{{form}}",
            subset=["train", "valid"],
            form=FORMS,
        ),
        images=ancient(rules.clips.output),
        weights=WEIGHTS,
    output:
        f"{RUN}/training.json",
    log:
        f"{R}/logs/train/{{method}}__{{backbone}}.log",
    benchmark:
        f"{R}/benchmarks/train/{{method}}__{{backbone}}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: TRAIN_THREADS
    resources:
        mem_mb=TRAIN_MEMORY,
        gpu=TRAIN_GPUS,
        runtime=CONFIG.launcher.minutes,
    params:
        config=CONFIG_FILE,
        annotations=subpath(input[0], ancestor=2),
        run=subpath(output[0], parent=True),
        settings=training_settings,
        slurm=slurm_options,
    message:
        "training {wildcards.method} with {wildcards.backbone}"
    shell:
        "vatrack launch --config {params.config:q} --method {wildcards.method} --backbone {wildcards.backbone}"
        " --annotations {params.annotations:q} --images {input.images:q} --out {params.run:q} {params.slurm}"
        " 2>&1 | tee -i {log:q}"


rule select:
    input:
        rules.train.output,
    output:
        best=f"{RUN}/best.json",
        checkpoint=f"{RUN}/best.pt",
    log:
        f"{R}/logs/select/{{method}}__{{backbone}}.log",
    benchmark:
        f"{R}/benchmarks/select/{{method}}__{{backbone}}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        run=subpath(input[0], parent=True),
        settings=settings("selection"),
    message:
        "choosing the best checkpoint of {wildcards.method} with {wildcards.backbone}"
    shell:
        "vatrack select --run {params.run:q} --config {params.config:q} --out {output.best:q} > {log:q} 2>&1"
