# The best checkpoint -> predictions -> metrics.


# How many shards there are changes no byte, so the files of different numbers must not be mixed.
PREDICTED = f"{RUN}/shards_of_{plan.prediction_shards}"
EVALUATED = f"{RUN}/evaluation_shards_of_{plan.evaluation_shards}"
# What changes the predictions, whole or in shards.
PREDICTION = plan.settings(
    "inference", "input", "compute.precision", "compute.tf32", "compute.winograd"
)

if plan.prediction_shards == 1:

    rule predict:
        input:
            checkpoint=rules.select.output.checkpoint,
            ground_truth=f"{R}/annotations/valid/joint.json",
            images=FRAMES,
        output:
            ensure(f"{RUN}/predictions.jsonl.gz", non_empty=True),
        log:
            f"{R}/logs/predict/{RUN_NAME}.log",
        benchmark:
            f"{R}/benchmarks/predict/{RUN_NAME}.tsv"
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
            settings=PREDICTION,
        message:
            "predicting: {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack predict --config {params.config:q} --checkpoint {input.checkpoint:q} --method {wildcards.method}"
            " --backbone {wildcards.backbone} --frames {input.ground_truth:q} --images {input.images:q}"
            " --out {output:q} --processes {params.processes} > {log:q} 2>&1"

else:

    # On one machine, shards take its GPUs in turn (shard 1 the first); SLURM gives each job its own.
    rule predict_shard:
        input:
            checkpoint=rules.select.output.checkpoint,
            ground_truth=f"{R}/annotations/valid/joint.json",
            images=FRAMES,
        output:
            # Until they are merged: what failed is predicted again, and nothing else.
            temp(f"{PREDICTED}/{{shard}}.jsonl.gz"),
            temp(f"{PREDICTED}/{{shard}}.jsonl.gz.shard.json"),
        log:
            f"{R}/logs/predict/{RUN_NAME}.{{shard}}.log",
        benchmark:
            f"{R}/benchmarks/predict/{RUN_NAME}.{{shard}}.tsv"
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
            shards=plan.prediction_shards,
            # 0: as many as suit the device
            processes=lambda wildcards, threads: 0 if plan.predict_gpus else threads,
            settings=PREDICTION,
        message:
            "predicting: {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack predict --config {params.config:q} --checkpoint {input.checkpoint:q} --method {wildcards.method}"
            " --backbone {wildcards.backbone} --frames {input.ground_truth:q} --images {input.images:q}"
            " --out {output[0]:q} --processes {params.processes} --shard {wildcards.shard}/{params.shards} > {log:q} 2>&1"

    rule predict:
        input:
            [f"{PREDICTED}/{number}.jsonl.gz" for number in range(1, plan.prediction_shards + 1)],
            [
                f"{PREDICTED}/{number}.jsonl.gz.shard.json"
                for number in range(1, plan.prediction_shards + 1)
            ],
        output:
            ensure(f"{RUN}/predictions.jsonl.gz", non_empty=True),
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


if plan.evaluation_shards == 1:

    rule evaluate:
        input:
            predictions=rules.predict.output,
            ground_truth=f"{R}/annotations/valid/joint.json",
            tracks=[f"{R}/annotations/valid/{name}" for name in plan.track_files],
        output:
            metrics=ensure(f"{RUN}/metrics.json", non_empty=True),
            details=ensure(f"{RUN}/details.json", non_empty=True),
        log:
            f"{R}/logs/evaluate/{RUN_NAME}.log",
        benchmark:
            f"{R}/benchmarks/evaluate/{RUN_NAME}.tsv"
        conda:
            "../../envs/vatrack.yaml"
        threads: plan.threads(8)
        resources:
            mem_mb=lambda wildcards, threads: 2000 + 500 * threads,
            runtime=240,
        params:
            config=plan.config_file,
            run=subpath(output[0], parent=True),
            tracks=plan.track_options,
            settings=plan.settings("evaluation"),
        message:
            "evaluating {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack evaluate --config {params.config:q} --ground-truth {input.ground_truth:q}"
            " --predictions {input.predictions:q} {params.tracks}"
            " --run {params.run:q} --out {output.metrics:q}"
            " --details {output.details:q} --processes {threads} > {log:q} 2>&1"

else:

    rule evaluate_shard:
        input:
            predictions=rules.predict.output,
            ground_truth=f"{R}/annotations/valid/joint.json",
            tracks=[f"{R}/annotations/valid/{name}" for name in plan.track_files],
        output:
            # Until they are merged: what failed is evaluated again, and nothing else.
            temp(f"{EVALUATED}/{{shard}}.npz"),
        log:
            f"{R}/logs/evaluate/{RUN_NAME}.{{shard}}.log",
        benchmark:
            f"{R}/benchmarks/evaluate/{RUN_NAME}.{{shard}}.tsv"
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
            run=RUN,
            shards=plan.evaluation_shards,
            tracks=plan.track_options,
            settings=plan.settings("evaluation"),
        message:
            "evaluating {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack evaluate --config {params.config:q} --ground-truth {input.ground_truth:q}"
            " --predictions {input.predictions:q} {params.tracks} --run {params.run:q}"
            " --out {output:q} --processes {threads} --shard {wildcards.shard}/{params.shards} > {log:q} 2>&1"

    rule evaluate:
        input:
            [f"{EVALUATED}/{number}.npz" for number in range(1, plan.evaluation_shards + 1)],
        output:
            metrics=ensure(f"{RUN}/metrics.json", non_empty=True),
            details=ensure(f"{RUN}/details.json", non_empty=True),
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
            settings=plan.settings("evaluation"),
        message:
            "merging the evaluations of {wildcards.method} with {wildcards.backbone}{wildcards.variant}"
        shell:
            "vatrack merge-evaluations {input:q} --run {params.run:q} --out {output.metrics:q}"
            " --details {output.details:q} > {log:q} 2>&1"
