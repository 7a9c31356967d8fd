# The best checkpoint -> predictions -> metrics.


# How many shards there are changes no byte, so the files of different numbers must not be mixed.
PREDICTED = f"{RUN}/shards_of_{plan.prediction_shards}"
EVALUATED = f"{RUN}/evaluation_shards_of_{plan.evaluation_shards}"
# What changes the predictions, and the metrics, whole or in shards.
PREDICTION = plan.settings(
    "inference", "input", "compute.precision", "compute.tf32", "compute.winograd"
)
EVALUATION = plan.settings("evaluation")
PREDICTIONS = ensure(f"{RUN}/predictions.jsonl.gz", non_empty=True)
METRICS = ensure(f"{RUN}/metrics.json", non_empty=True)
DETAILS = ensure(f"{RUN}/details.json", non_empty=True)


# On one machine, shards take its GPUs in turn (shard 1 the first); SLURM gives each job its own.
rule:
    name:
        "predict" if plan.prediction_shards == 1 else "predict_shard"
    input:
        checkpoint=rules.select.output.checkpoint,
        ground_truth=f"{R}/annotations/valid/joint.json",
        images=FRAMES,
    output:
        # Shards stay until they are merged: what failed is predicted again, and nothing else.
        predictions=(
            PREDICTIONS if plan.prediction_shards == 1 else temp(f"{PREDICTED}/{{shard}}.jsonl.gz")
        ),
        record=(
            []
            if plan.prediction_shards == 1
            else temp(f"{PREDICTED}/{{shard}}.jsonl.gz.shard.json")
        ),
    log:
        f"{R}/logs/predict/{by_shard(plan.prediction_shards)}.log",
    benchmark:
        f"{R}/benchmarks/predict/{by_shard(plan.prediction_shards)}.tsv"
    wildcard_constraints:
        shard="[0-9]+",
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
        part=prediction_part,
        settings=PREDICTION,
    message:
        "predicting: {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
    shell:
        "vatrack predict --config {params.config:q} --checkpoint {input.checkpoint:q} --method {wildcards.method}"
        " --backbone {wildcards.backbone} --frames {input.ground_truth:q} --images {input.images:q}"
        " --out {output.predictions:q} --processes {params.processes} {params.part} > {log:q} 2>&1"


if plan.prediction_shards > 1:

    rule predict:
        input:
            [
                f"{PREDICTED}/{number}.jsonl.gz{end}"
                for end in ("", ".shard.json")
                for number in range(1, plan.prediction_shards + 1)
            ],
        output:
            PREDICTIONS,
        log:
            f"{R}/logs/predict/{RUN_NAME}.log",
        benchmark:
            f"{R}/benchmarks/predict/{RUN_NAME}.tsv"
        conda:
            "../../envs/vatrack.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=60,
        params:
            shards=lambda wildcards, input: input[: plan.prediction_shards],
            settings=PREDICTION,
        message:
            "merging the predictions of {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack merge-predictions {params.shards:q} --out {output:q} > {log:q} 2>&1"


rule:
    name:
        "evaluate" if plan.evaluation_shards == 1 else "evaluate_shard"
    input:
        predictions=rules.predict.output,
        ground_truth=f"{R}/annotations/valid/joint.json",
        tracks=[f"{R}/annotations/valid/{name}" for name in plan.track_files],
    output:
        # Shards stay until they are merged: what failed is evaluated again, and nothing else.
        results=METRICS if plan.evaluation_shards == 1 else temp(f"{EVALUATED}/{{shard}}.npz"),
        details=DETAILS if plan.evaluation_shards == 1 else [],
    log:
        f"{R}/logs/evaluate/{by_shard(plan.evaluation_shards)}.log",
    benchmark:
        f"{R}/benchmarks/evaluate/{by_shard(plan.evaluation_shards)}.tsv"
    wildcard_constraints:
        shard="[0-9]+",
    conda:
        "../../envs/vatrack.yaml"
    threads: plan.threads(8)
    resources:
        mem_mb=lambda wildcards, threads: 2000 + 500 * threads,
        runtime=240,
    params:
        config=plan.config_file,
        run=subpath(output[0], ancestor=1 if plan.evaluation_shards == 1 else 2),
        tracks=plan.track_options,
        part=evaluation_part,
        settings=EVALUATION,
    message:
        "evaluating {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
    shell:
        "vatrack evaluate --config {params.config:q} --ground-truth {input.ground_truth:q}"
        " --predictions {input.predictions:q} {params.tracks} --run {params.run:q}"
        " --out {output.results:q} --processes {threads} {params.part} > {log:q} 2>&1"


if plan.evaluation_shards > 1:

    rule evaluate:
        input:
            [f"{EVALUATED}/{number}.npz" for number in range(1, plan.evaluation_shards + 1)],
        output:
            metrics=METRICS,
            details=DETAILS,
        log:
            f"{R}/logs/evaluate/{RUN_NAME}.log",
        benchmark:
            f"{R}/benchmarks/evaluate/{RUN_NAME}.tsv"
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
            "merging the evaluations of {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack merge-evaluations {input:q} --run {params.run:q} --out {output.metrics:q}"
            " --details {output.details:q} > {log:q} 2>&1"
