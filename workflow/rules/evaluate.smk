# The best checkpoint -> predictions -> metrics.


# What changes the predictions, and the metrics, whole or in shards.
PREDICTION = plan.settings(
    "inference", "input", "compute.precision", "compute.tf32", "compute.winograd"
)
EVALUATION = plan.settings("evaluation")
PREDICTIONS = ensure(plan.files.predictions, non_empty=True)
METRICS = ensure(plan.files.metrics, non_empty=True)
DETAILS = ensure(plan.files.details, non_empty=True)


# Where there are no shards, `predict` and `evaluate` below are the same rules for everything at
# once. On one machine, shards take its GPUs in turn (shard 1 the first); SLURM gives each job its
# own.
rule predict_shard:
    input:
        checkpoint=rules.select.output.checkpoint,
        ground_truth=f"{R}/annotations/valid/joint.json",
        images=FRAMES,
    output:
        # Shards stay until they are merged: what failed is predicted again, and nothing else.
        predictions=temp(plan.prediction.one(".jsonl.gz")),
        record=temp(plan.prediction.one(".jsonl.gz.shard.json")),
    log:
        f"{R}/logs/predict/{plan.prediction.name}.log",
    benchmark:
        f"{R}/benchmarks/predict/{plan.prediction.name}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(8)
    resources:
        mem_mb=lambda wildcards, threads: 2000 + 2500 * threads,
        gpu=plan.predict_gpus,
        runtime=240,
    params:
        config=plan.config_file,
        # 0: as many as suit the device
        processes=lambda wildcards, threads: 0 if plan.predict_gpus else threads,
        part=plan.prediction.option,
        settings=PREDICTION,
    message:
        "predicting: {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
    shell:
        "vatrack predict --config {params.config:q} --checkpoint {input.checkpoint:q}"
        " --method {wildcards.method}"
        " --backbone {wildcards.backbone} --frames {input.ground_truth:q} --images {input.images:q}"
        " --out {output.predictions:q} --processes {params.processes} {params.part} > {log:q} 2>&1"


if plan.prediction.several:

    rule predict:
        input:
            shards=plan.prediction.all(".jsonl.gz"),
            records=plan.prediction.all(".jsonl.gz.shard.json"),
        output:
            PREDICTIONS,
        log:
            f"{R}/logs/predict/{RUN}.log",
        benchmark:
            f"{R}/benchmarks/predict/{RUN}.tsv"
        conda:
            "../../envs/vatrack.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=60,
        params:
            settings=PREDICTION,
        message:
            "merging the predictions of {wildcards.method} with"
            " {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack merge-predictions {input.shards:q} --out {output:q} > {log:q} 2>&1"

else:

    use rule predict_shard as predict with:
        output:
            predictions=PREDICTIONS,
        log:
            f"{R}/logs/predict/{RUN}.log",
        benchmark:
            f"{R}/benchmarks/predict/{RUN}.tsv"
        params:
            part="",


rule evaluate_shard:
    input:
        predictions=rules.predict.output,
        ground_truth=f"{R}/annotations/valid/joint.json",
        tracks=tracks_of,
    output:
        # Shards stay until they are merged: what failed is evaluated again, and nothing else.
        results=temp(plan.evaluation.one(".npz")),
    log:
        f"{R}/logs/evaluate/{plan.evaluation.name}.log",
    benchmark:
        f"{R}/benchmarks/evaluate/{plan.evaluation.name}.tsv"
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(8)
    resources:
        mem_mb=lambda wildcards, threads: 2000 + 500 * threads,
        runtime=240,
    params:
        config=plan.config_file,
        run=subpath(output[0], ancestor=2),
        tracks=plan.track_options,
        part=plan.evaluation.option,
        settings=EVALUATION,
    message:
        "evaluating {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
    shell:
        "vatrack evaluate --config {params.config:q} --ground-truth {input.ground_truth:q}"
        " --predictions {input.predictions:q} {params.tracks} --run {params.run:q}"
        " --out {output.results:q} --processes {threads} {params.part} > {log:q} 2>&1"


if plan.evaluation.several:

    rule evaluate:
        input:
            plan.evaluation.all(".npz"),
        output:
            metrics=METRICS,
            details=DETAILS,
        log:
            f"{R}/logs/evaluate/{RUN}.log",
        benchmark:
            f"{R}/benchmarks/evaluate/{RUN}.tsv"
        conda:
            "../../envs/vatrack.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            run=subpath(output[0], parent=True),
            settings=EVALUATION,
        message:
            "merging the evaluations of {wildcards.method} with"
            " {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack merge-evaluations {input:q} --run {params.run:q} --out {output.metrics:q}"
            " --details {output.details:q} > {log:q} 2>&1"

else:

    use rule evaluate_shard as evaluate with:
        output:
            results=METRICS,
            details=DETAILS,
        log:
            f"{R}/logs/evaluate/{RUN}.log",
        benchmark:
            f"{R}/benchmarks/evaluate/{RUN}.tsv"
        params:
            run=subpath(output[0], parent=True),
            part=details_option,
